"""CEL, the Common Expression Language, with the functions that Kubernetes adds.

`syntax` parses, `program` and `macros` compile into closures, `evaluation` is what those run in,
`standard`, `texts` and `kubernetes` hold the functions, `values` what they work on. No library
at hand has Kubernetes' own value types (quantities, addresses, sets that ignore order) and a
bound on the work that an expression may do. Types are checked when an expression runs.
Source: github.com/google/cel-spec, doc/langdef.md; kube-apiserver v1.36.2,
apiserver/pkg/cel/library.
"""

from services.apiserver.cel.evaluation import Budget
from services.apiserver.cel.program import Program, compile_expression
from services.apiserver.cel.syntax import ParseError
from services.apiserver.cel.values import (
    NONE,
    CelError,
    KeyedList,
    Opaque,
    Optional,
    SetList,
    Struct,
    Uint,
)

__all__ = [
    "NONE",
    "Budget",
    "CelError",
    "KeyedList",
    "Opaque",
    "Optional",
    "ParseError",
    "Program",
    "SetList",
    "Struct",
    "Uint",
    "compile_expression",
]
