"""What a resource request does once it may: one module a verb.

The read flow: get.py, list.py, watch.py. The write flow: create.py, update.py, patch.py,
delete.py, which end in `registry.store`. representation.py turns stored bytes into what the
client accepts.
"""
