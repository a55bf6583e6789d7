"""Bodies to objects and back: what kube-apiserver does by decoding into Go structs.

`decode_body` reads bytes, a `Codec` gives the value its kind's types, `encode` prints it.
Nothing here knows requests, defaults or validation rules.
"""

from services.apiserver.codec.body import Body, decode_body
from services.apiserver.codec.builtin import TypedCodec, UnknownKindError, codec_for, definition_of
from services.apiserver.codec.encoding import encode
from services.apiserver.codec.protocol import Codec, DecodeError, FieldReport, Object

__all__ = [
    "Body",
    "Codec",
    "DecodeError",
    "FieldReport",
    "Object",
    "TypedCodec",
    "UnknownKindError",
    "codec_for",
    "decode_body",
    "definition_of",
    "encode",
]
