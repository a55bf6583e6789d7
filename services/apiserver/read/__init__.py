"""The read flow: get.py, list.py, watch.py, one module a verb, all from the watch cache.

selection.py says which objects, continuetoken.py where a page ended, representation.py turns
stored bytes into what the client accepts.
"""
