"""Which files of a folder are one DICOM slide: those of one series, as OpenSlide has it."""

import struct
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

Tag = tuple[int, int]
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_TRANSFER_SYNTAX, _SERIES = (0x0002, 0x0010), (0x0020, 0x000E)
_IMPLICIT = b"1.2.840.10008.1.2"
# Before its pixels a file says some hundred things; a damaged one may seem to say anything.
_MOST_ELEMENTS, _MOST_BYTES = 10_000, 64


class _Damaged(Exception):
    """No DICOM, or none that can be followed."""


class _Element(NamedTuple):
    tag: Tag
    kind: bytes
    length: int


def is_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes of a file are those of DICOM."""
    return head[128:132] == b"DICM"


def series_files(path: Path) -> list[Path]:
    """Return the DICOM files of a folder that belong to the series of `path`: it first, the others sorted."""
    series = _series(path)
    if series is None:
        return [path]
    others = (file for file in path.parent.iterdir() if file.is_file() and file.name != path.name)
    return [path, *sorted(file for file in others if _series(file) == series)]


def by_series(files: Iterable[Path]) -> list[list[Path]]:
    """Return DICOM files in groups of one series each; those that name none are one group."""
    found: dict[bytes | None, list[Path]] = {}
    for file in files:
        found.setdefault(_series(file), []).append(file)
    return list(found.values())


def values(path: Path, tags: Collection[Tag]) -> dict[Tag, bytes]:
    """Return the short values of a file's elements as far as it has them; empty where it is no DICOM."""
    found: dict[Tag, bytes] = {}
    try:
        with path.open("rb") as file:
            if is_dicom(file.read(132)):
                _Walk(file).collect(frozenset(tags), found)
    except (OSError, _Damaged, struct.error):
        pass
    return found


def _series(path: Path) -> bytes | None:
    return values(path, (_SERIES,)).get(_SERIES)


class _Walk:
    """The elements of a little-endian data set one after the other, which are in ascending order of tag."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._explicit = True
        self._left = _MOST_ELEMENTS

    def collect(self, tags: frozenset[Tag], found: dict[Tag, bytes]) -> None:
        """Add the values of these elements to `found`, up to the last of them."""
        last, syntax = max(tags), b""
        while True:
            start = self._file.tell()
            element = self._next()
            if element.tag[0] > 2 and self._explicit and syntax == _IMPLICIT:
                self._explicit = False
                self._file.seek(start)
            elif element.tag > last:
                return
            elif element.tag == _TRANSFER_SYNTAX:
                syntax = self._text(element)
            elif element.tag in tags:
                found[element.tag] = self._text(element)
            else:
                self._skip(element)

    def _next(self) -> _Element:
        self._left -= 1
        if not self._left:
            raise _Damaged
        tag = struct.unpack("<HH", self._file.read(4))
        if tag[0] == _ITEM[0] or not self._explicit:
            return _Element(tag, b"", self._number("<I"))
        kind = self._file.read(2)
        if kind not in _LONG:
            return _Element(tag, kind, self._number("<H"))
        self._file.seek(2, 1)
        return _Element(tag, kind, self._number("<I"))

    def _number(self, layout: str) -> int:
        return struct.unpack(layout, self._file.read(struct.calcsize(layout)))[0]

    def _text(self, element: _Element) -> bytes:
        if element.length > _MOST_BYTES:
            raise _Damaged
        return self._file.read(element.length).rstrip(b"\0 ")

    def _skip(self, element: _Element) -> None:
        """Pass over a value; one without a stated length ends at its own delimiter."""
        if element.length != _UNDEFINED:
            self._file.seek(element.length, 1)
            return
        open_ends = 1
        while open_ends:
            inner = self._next()
            if inner.tag in (_ITEM_END, _SEQUENCE_END):
                open_ends -= 1
            elif inner.length == _UNDEFINED:
                open_ends += 1
            else:
                self._file.seek(inner.length, 1)
