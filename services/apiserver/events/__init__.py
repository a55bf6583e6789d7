"""The event flow: how what was written comes to a replica's watch cache, and so to watchers.

flow.py     storage, or the log of a watchfanout → cache, entry by entry
snapshots.py  where the whole state comes from at the start
past.py     what came before that, so that watches resume
"""
