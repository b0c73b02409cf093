"""A last look before publishing: whether a file still holds a name of a slide or patient."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Shorter texts occur in any file by chance; whole entries of tables are compared at any length.
_SHORTEST = 5


def find_leak(folder: Path, words: Iterable[str]) -> str:
    """Return which file holds one of the words, and where; empty where none does.

    Tables are read: entries of their texts, and what their schema says of itself. Other files, the texts and
    maps, are searched byte by byte (maps keep their texts uncompressed). Words under five characters are only
    sought as whole entries.
    """
    known = {word for word in words if word}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        place = path.relative_to(folder).as_posix()
        found = _in_table(path, known) if path.suffix == ".parquet" else _in_bytes(path.read_bytes(), known)
        if found:
            return f"{place} holds a name of a slide, a patient or a file ({found})"
    return ""


def _in_bytes(content: bytes, words: set[str]) -> str:
    lower = content.lower()
    long = (word for word in words if len(word) >= _SHORTEST)
    return "in its text" if any(word.lower().encode() in lower for word in long) else ""


def _in_table(path: Path, words: set[str]) -> str:
    table = pq.read_table(path)
    told = [table.schema.metadata or {}, *(field.metadata or {} for field in table.schema)]
    said = b"\n".join(part for each in told for pair in each.items() for part in pair)
    if _in_bytes(said, words):
        return "in what it says of itself"
    for name in table.column_names:
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            entries = {text for text in table[name].cast(pa.string()).unique().to_pylist() if text}
            if entries & words or _in_bytes("\n".join(entries).encode(), words):
                return f"column {name}"
    return ""
