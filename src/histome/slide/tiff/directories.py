"""The directories of a TIFF, looked over before anything that they list is read."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from histome.errors import SlideError
from histome.slide.source import faults_told

# A pyramid has ten levels, a label and a macro image; 200,000 directories take 15 s to read.
MAX_IMAGES = 2000
# Of all images together, at 60 bytes each while they are read. 100,000 x 200,000 px are 0.35 million tiles.
MAX_PIECES = 5_000_000
MAX_TAG_BYTES = 64_000_000
# Strips beyond those that the size needs are harmless where they are few.
_SPARE_PIECES = 1000
_MAX_ENTRIES = 4096
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_WIDTH, _LENGTH, _ROWS, _SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_LENGTH, _SUB = (
    256,
    257,
    278,
    277,
    284,
    322,
    323,
    330,
)
_SIZES = (_WIDTH, _LENGTH, _TILE_WIDTH, _TILE_LENGTH, _ROWS)
_PIECES = (273, 279, 324, 325)
_SEPARATE = 2
_FARTHEST = 1 << 40  # no file reaches there; the system refuses to go much farther


class _Entry(NamedTuple):
    """A tag: the type and number of its values, and the bytes that hold them or say where they lie."""

    type: int
    values: int
    data: bytes


class _Format(NamedTuple):
    """Byte order, and how numbers of entries and offsets are written."""

    order: str
    number_kind: str
    offset_kind: str

    def number(self, kind: str, data: bytes) -> int:
        return struct.unpack_from(self.order + kind, data)[0]


_Directory = dict[int, _Entry]


def check_directories(path: Path) -> None:
    """Raise SlideError for a TIFF that is cut short, or whose directories list more than its size needs."""
    size = path.stat().st_size
    with faults_told(path), path.open("rb") as file:
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        big = struct.unpack(order + "H", head[2:4])[0] == 43
        form = _Format(order, "Q", "Q") if big else _Format(order, "H", "I")
        if len(head) < 16:
            raise _cut(path, len(head), size)
        first = form.number(form.offset_kind, head[8:] if big else head[4:])
        if first >= size:
            raise _cut(path, first, size)
        # NDPI beyond 4 GB writes the offsets of a classic TIFF in its own way.
        if big or size < 1 << 32:
            _check_all(path, _directories(file, form, first))


def _cut(path: Path, offset: int, size: int) -> SlideError:
    return SlideError(
        f"{path.name} is truncated: its directory is at byte {offset} of {size}; copy it again."
    )


def _check_all(path: Path, directories: Iterator[tuple[_Format, _Directory]]) -> None:
    pieces = 0
    for number, (form, directory) in enumerate(directories, start=1):
        if number > MAX_IMAGES or (_SUB in directory and directory[_SUB].values > MAX_IMAGES):
            raise SlideError(f"{path.name} lists more than {MAX_IMAGES} images; it is damaged or no slide.")
        _check_tags(path, directory)
        pieces += _check_count(path, form, directory)
        if pieces > MAX_PIECES:
            raise SlideError(f"{path.name} lists more than {MAX_PIECES} tiles; it is damaged or no slide.")


def _check_tags(path: Path, directory: _Directory) -> None:
    for tag, entry in directory.items():
        if tag in _SIZES and (entry.type not in _WHOLE or entry.values != 1):
            raise SlideError(f"{path.name} states a size that is no whole number (tag {tag}); it is damaged.")
        if tag not in _PIECES and entry.values * _TYPE_BYTES.get(entry.type, 1) > MAX_TAG_BYTES:
            raise SlideError(f"{path.name} claims {entry.values} values of tag {tag}; it is damaged.")


def _check_count(path: Path, form: _Format, directory: _Directory) -> int:
    """Return how many tiles or strips a directory lists; raises SlideError where its size needs far fewer."""
    listed = max((directory[tag].values for tag in _PIECES if tag in directory), default=0)
    needed = _needed(form, directory)
    if listed > needed + _SPARE_PIECES:
        raise SlideError(f"{path.name} lists {listed} tiles where its size needs {needed}; it is damaged.")
    return listed


def _needed(form: _Format, directory: _Directory) -> int:
    def stated(tag: int, default: int) -> int:
        entry = directory.get(tag)
        kind = _WHOLE.get(entry.type, "B") if entry else "B"
        # Eight bytes do not stand in the entry of a classic TIFF.
        fits = entry is not None and struct.calcsize(form.order + kind) <= len(entry.data)
        return form.number(kind, entry.data) if entry and fits else default

    width, length = stated(_WIDTH, 0), stated(_LENGTH, 0)
    across, down = stated(_TILE_WIDTH, 0), stated(_TILE_LENGTH, 0)
    if not (across and down):
        across, down = width or 1, min(stated(_ROWS, length), length) or 1
    planes = stated(_SAMPLES, 1) if stated(_PLANAR, 1) == _SEPARATE else 1
    return -(-width // across) * -(-length // down) * planes


def _directories(file: BinaryIO, form: _Format, first: int) -> Iterator[tuple[_Format, _Directory]]:
    """Yield the directories of the chain and those below them; what cannot be read ends its branch."""
    waiting, seen = [first], {0}
    while waiting:
        offset = waiting.pop()
        if offset in seen:
            continue
        seen.add(offset)
        directory, following = _read(file, form, offset)
        yield form, directory
        waiting += [following, *_below(file, form, directory)]


def _read(file: BinaryIO, form: _Format, offset: int) -> tuple[_Directory, int]:
    """Return a directory and where the next one lies, 0 for none."""
    count_bytes, offset_bytes = (
        struct.calcsize(form.order + form.number_kind),
        struct.calcsize(form.order + form.offset_kind),
    )
    entry_bytes = 4 + 2 * offset_bytes
    try:
        file.seek(min(offset, _FARTHEST))
        count = form.number(form.number_kind, file.read(count_bytes))
        data = file.read(entry_bytes * count + offset_bytes) if count <= _MAX_ENTRIES else b""
        following = form.number(form.offset_kind, data[entry_bytes * count :])
    except (struct.error, OverflowError):
        return {}, 0
    directory = {}
    for at in range(0, entry_bytes * count, entry_bytes):
        tag, kind, values = struct.unpack_from(f"{form.order}HH{form.offset_kind}", data, at)
        directory.setdefault(tag, _Entry(kind, values, data[at + 4 + offset_bytes : at + entry_bytes]))
    return directory, following


def _below(file: BinaryIO, form: _Format, directory: _Directory) -> list[int]:
    """Return where the directories below one lie (SubIFDs)."""
    entry = directory.get(_SUB)
    if entry is None or entry.type not in _WHOLE or entry.values > MAX_IMAGES:
        return []
    layout = f"{form.order}{entry.values}{_WHOLE[entry.type]}"
    data = entry.data
    if struct.calcsize(layout) > len(data):
        file.seek(min(form.number(form.offset_kind, data), _FARTHEST))
        data = file.read(struct.calcsize(layout))
    return list(struct.unpack_from(layout, data)) if len(data) >= struct.calcsize(layout) else []
