"""One file a kind or family of kinds: its Strategy (defaults, preparing, validation).

`STRATEGIES` in catalog.py names the strategy of every built-in resource.
"""
