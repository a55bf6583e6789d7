"""Objects as bytes: stored form, wire form, and the selection data taken out of them.

No I/O in here, and no knowledge of single kinds.
"""

from shared.objects.selection import NO_SELECTION, Selection

__all__ = ["NO_SELECTION", "Selection"]
