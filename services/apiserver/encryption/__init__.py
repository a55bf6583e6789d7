"""The file of --encryption-provider-config: how it is read, checked and followed.

What does the encrypting is in shared/storage/encryption.
"""
