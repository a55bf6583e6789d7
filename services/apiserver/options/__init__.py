"""The apiserver's command line.

options.py reads it; the flags of a topic are a module each (`GROUPS`), with `add_flags` and
`read`.
"""

from services.apiserver.options.options import ApiServerOptions
from shared.flags import OptionsError

__all__ = ["ApiServerOptions", "OptionsError"]
