"""The write flow: create.py, update.py, patch.py, apply.py, delete.py, one module a verb.

body.py reads what the client sent, ownership.py keeps managedFields, writes.py is what the verbs
share; all end in `registry/store.py`.
"""
