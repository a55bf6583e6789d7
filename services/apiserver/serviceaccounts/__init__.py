"""Service accounts: their tokens, made (TokenRequest) and checked, and the documents that let
others check them.

The accounts themselves are objects like others (kinds/serviceaccount.py); that pods run as
one is admission (admission/serviceaccount.py).
"""
