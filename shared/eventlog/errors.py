"""What can go wrong with an event log; the adapters let nothing else out."""

from __future__ import annotations

from shared.storage.protocol import Revision


class EventLogError(Exception):
    """The family of all event log errors."""


class Trimmed(EventLogError):
    """Entries after `after` are gone; what is kept begins after `oldest`."""

    def __init__(self, after: Revision, oldest: Revision) -> None:
        super().__init__(f"entries after revision {after} are gone; kept is what follows {oldest}")
        self.after = after
        self.oldest = oldest


class Hole(EventLogError):
    """The entry that follows `after` begins only after `previous`."""

    def __init__(self, after: Revision, previous: Revision) -> None:
        super().__init__(f"nothing known of revisions after {after} up to {previous}")
        self.after = after
        self.previous = previous


class UnknownFormat(EventLogError):
    """An entry was packed by another version of this program, or is damaged."""


class EventLogUnavailable(EventLogError):
    """The log can't be reached; an append may or may not have happened."""


class EventLogClosed(EventLogError):
    """This process has closed the log."""
