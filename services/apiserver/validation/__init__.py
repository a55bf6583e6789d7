"""Rules that many kinds share: causes of field errors, names, labels, metadata.

Plain functions: they take values and paths and return causes. No I/O.
"""
