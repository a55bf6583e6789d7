"""The three kinds of patch that carry changes: JSON Patch, merge patch, strategic merge patch.

Each module has `parse` (bytes to a patch, once a request) and `apply` (once an attempt: a
conflict repeats it on a newer object). Server-side apply is not here: it needs managed fields.
"""
