"""Files that an ONNX model reads besides its own, found without loading it."""

from collections.abc import Iterator

# The fields of each ONNX message that lead to tensors, by number (onnx.proto); all others are passed over.
_LEADS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Of a tensor: an entry that says where its data lies, and whether they lie elsewhere.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_KEY, _VALUE = 1, 2


def external_files(model: bytes) -> set[str]:
    """Return the names of the files in which a model keeps weights, "" for one that it does not name.

    Raises ValueError for what is no whole message: what is skipped here might be read by a backend.
    """
    names: set[str] = set()
    todo = [("model", memoryview(model))]
    while todo:
        kind, message = todo.pop()
        for number, value in _fields(message):
            inner = _LEADS[kind].get(number)
            if inner and isinstance(value, memoryview):
                todo.append((inner, value))
            elif kind == "tensor" and number == _DATA_LOCATION and value != 0:
                names.add("")
            elif kind == "tensor" and number == _EXTERNAL_DATA and isinstance(value, memoryview):
                names.update(_location(value))
    return names - {""} or names


def _location(entry: memoryview) -> Iterator[str]:
    """Yield the file that an entry of external data names, if that is what it holds."""
    parts = {number: bytes(value) for number, value in _fields(entry) if isinstance(value, memoryview)}
    if parts.get(_KEY) == b"location":
        yield parts.get(_VALUE, b"").decode(errors="replace")


def _fields(message: memoryview) -> Iterator[tuple[int, "int | memoryview"]]:
    """Yield number and value of each field of a protobuf message; of fixed-width ones no value."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | memoryview = 0
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
            case 2:
                length, at = _varint(message, at)
                value, at = message[at : at + length], at + length
            case 1 | 5 as width:
                at += 8 if width == 1 else 4
            case _:
                raise ValueError("a group")
        # Backends keep 32 bits of a tag: a longer one would be another field to them.
        if at > len(message) or not 8 <= tag < 1 << 32:
            raise ValueError("a field beyond its message")
        yield tag >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number of variable length at a place, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number without end")
