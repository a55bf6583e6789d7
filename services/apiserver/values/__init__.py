"""The value types of the API that have a text form of their own.

Each module parses one of them and prints its canonical form; errors are ValueErrors.
Nothing here knows objects, schemas or requests.
"""
