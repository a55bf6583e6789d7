"""Server-side apply: who owns which fields of an object, and what an applied one makes of it.

`elements` and `fieldsets` are the sets that FieldsV1 prints; `types` with `builtintypes` and
`customtypes` say how values are owned, `typed` what apply does with them; `schema` is that for
one kind. `managers` reads and writes managedFields, `update` and `fieldmanager` keep them true.
The handlers (../handlers) decide when; nothing here knows of requests or storage.
"""

from services.apiserver.apply.conflicts import ApplyConflict
from services.apiserver.apply.fieldmanager import FieldManager, admitted, manager_of, revert_times
from services.apiserver.apply.resetfields import reset_fields
from services.apiserver.apply.schema import Schema
from services.apiserver.apply.update import Updater

__all__ = [
    "ApplyConflict",
    "FieldManager",
    "Schema",
    "Updater",
    "admitted",
    "manager_of",
    "reset_fields",
    "revert_times",
]
