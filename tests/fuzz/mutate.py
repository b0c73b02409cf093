"""Damage: a seed and a number become a mutant, always the same one."""

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fuzz.seeds import seeds

Rng = np.random.Generator
_SIZES = (0, 1, 2, 15, 255, 65_535, 65_536, 1_000_000, 2**31 - 1, 2**32 - 1)
# Width, length, bits, codec, colors, samples, rows per strip, planes, tile sides, sample format.
_TELLING = (256, 257, 258, 259, 262, 277, 278, 284, 322, 323, 339)
_CODES = (1, 2, 5, 6, 7, 8, 32_773, 32_946, 33_003, 33_005, 34_712, 50_000, 50_001, 52_479)
_COMPRESSION = 259
# Offsets, byte counts of tiles and of strips; SubIFDs.
_ARRAYS = (273, 279, 324, 325, 330)


class Mutant(NamedTuple):
    """A damaged slide: number, container, what was done to which file, its files."""

    number: int
    container: str
    done: str
    files: dict[str, bytes]

    def write(self, folder: Path) -> Path:
        """Write the files into a folder and return the one to open."""
        paths = [folder / name for name in self.files]
        for path, data in zip(paths, self.files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return paths[0]


def mutant(number: int, *, seed: int) -> Mutant:
    """Return the mutant of that number: the containers take turns, the rest is chance."""
    rng = np.random.default_rng([seed, number])
    containers = list(seeds())
    of_one = seeds()[containers[number % len(containers)]]
    victim = of_one[rng.integers(len(of_one))]
    names = list(victim.files)
    name = names[rng.integers(len(names))]
    data, done = victim.files[name], []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        ways = _ways(data)
        way = ways[rng.integers(len(ways))]
        data = way(bytearray(data), rng)
        done.append(way.__name__.strip("_"))
    return Mutant(number, victim.container, f"{name}: {', '.join(done)}", {**victim.files, name: data})


Way = Callable[[bytearray, Rng], bytes]


def _ways(data: bytes) -> list[Way]:
    """Return what may be done to a file of this kind; structure is hit more often than pixels."""
    ways: list[Way] = [_cut, _flip, _flip_head, _blank, _splice, _repeat, _digits]
    if data[:2] == b"II" and len(data) > 16:
        ways += [_swap_tags, _retype, _recount, _resize, _wrong_codec, _no_tiles, _loop, _sub_loop] * 2
    if data.startswith(b"\x89PNG"):
        ways += [_lying_png] * 2
    if data.startswith(b"\xff\xd8"):
        ways += [_lying_jpeg] * 3
    if data[128:132] == b"DICM":
        ways += [_lying_dicom] * 5
    return ways


# --- any file ----------------------------------------------------------------------------------------------


def _cut(data: bytearray, rng: Rng) -> bytes:
    return bytes(data[: rng.integers(len(data) + 1)])


def _flip(data: bytearray, rng: Rng, upto: int | None = None) -> bytes:
    for at in rng.integers(0, max(1, min(len(data), upto or len(data))), rng.integers(1, 17)):
        if at < len(data):
            data[at] = rng.integers(256)
    return bytes(data)


def _flip_head(data: bytearray, rng: Rng) -> bytes:
    return _flip(data, rng, 512)


def _blank(data: bytearray, rng: Rng) -> bytes:
    at, length = rng.integers(len(data) + 1), rng.integers(1, 4097)
    data[at : at + length] = bytes([rng.choice([0, 255])]) * len(data[at : at + length])
    return bytes(data)


def _splice(data: bytearray, rng: Rng) -> bytes:
    """Go on with the tail of another file."""
    others = [seed for group in seeds().values() for seed in group]
    other = next(iter(others[rng.integers(len(others))].files.values()))
    at = rng.integers(len(data) + 1)
    return bytes(data[:at]) + other[rng.integers(len(other)) :]


def _repeat(data: bytearray, rng: Rng) -> bytes:
    """Take a piece out, or say it twice: all that follows lies elsewhere."""
    at, length = rng.integers(len(data) + 1), rng.integers(1, 1000)
    return (
        bytes(data[:at])
        + bytes(data[at : at + length]) * int(rng.choice([0, 2]))
        + bytes(data[at + length :])
    )


def _digits(data: bytearray, rng: Rng) -> bytes:
    """Change a number written in letters: XML of OME, SCN and BIF, Slidedat.ini, Aperio's description."""
    found = list(re.finditer(rb"(?<=[\"'=\\ ])\d{1,12}(?=[\"'.,x\\|\r\n ])", data))
    if not found:
        return _flip(data, rng)
    place = found[rng.integers(len(found))]
    length = place.end() - place.start()
    new = [b"9" * length, b"0" * length, b"-" + b"1" * (length - 1), b"1" + b"0" * (length - 1)]
    text = new[rng.integers(len(new))]
    if not data.startswith((b"II", b"\x89", b"\xff")) and rng.random() < 0.5:
        text = [b"2147483647", b"-1", b"1e308", b"nan", b""][rng.integers(5)]  # text may grow
    data[place.start() : place.end()] = text
    return bytes(data)


# --- TIFF --------------------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    at: int
    tag: int
    kind: int
    count: int


class _Directory(NamedTuple):
    at: int
    entries: list[_Entry]
    next_at: int


def _directories(data: bytes) -> tuple[bool, list[_Directory]]:
    """Return whether it is BigTIFF, and the directories of the chain as far as they can be followed."""
    big = data[2:4] == b"+\0"
    found: list[_Directory] = []
    try:
        at = struct.unpack_from("<Q" if big else "<I", data, 8 if big else 4)[0]
        while at and len(found) < 20 and at not in [one.at for one in found]:
            (count,) = struct.unpack_from("<Q" if big else "<H", data, at)
            first, size = at + (8 if big else 2), 20 if big else 12
            layout = "<HHQ" if big else "<HHI"
            places = range(first, first + size * min(count, 100), size)
            entries = [_Entry(place, *struct.unpack_from(layout, data, place)) for place in places]
            found.append(_Directory(at, entries, first + size * count))
            at = struct.unpack_from("<Q" if big else "<I", data, first + size * count)[0]
    except (struct.error, OverflowError):
        pass
    return big, [one for one in found if one.entries]


def _entry(data: bytearray, rng: Rng, tags: tuple[int, ...] = ()) -> tuple[bool, _Entry] | None:
    big, directories = _directories(bytes(data))
    entries = [entry for one in directories for entry in one.entries if not tags or entry.tag in tags]
    return (big, entries[rng.integers(len(entries))]) if entries else None


def _put(data: bytearray, at: int, layout: str, *values: int) -> bytes:
    piece = struct.pack(layout, *values)
    data[at : at + len(piece)] = piece
    return bytes(data)


def _swap_tags(data: bytearray, rng: Rng) -> bytes:
    one, other = _entry(data, rng), _entry(data, rng)
    if one is None or other is None:
        return _flip(data, rng)
    size = 18 if one[0] else 10
    first, second = one[1].at + 2, other[1].at + 2
    data[first : first + size], data[second : second + size] = (
        data[second : second + size],
        data[first : first + size],
    )
    return bytes(data)


def _retype(data: bytearray, rng: Rng) -> bytes:
    found = _entry(data, rng)
    return _put(data, found[1].at + 2, "<H", int(rng.integers(0, 20))) if found else _flip(data, rng)


def _recount(data: bytearray, rng: Rng) -> bytes:
    found = _entry(data, rng)
    if found is None:
        return _flip(data, rng)
    return _put(data, found[1].at + 4, "<Q" if found[0] else "<I", int(rng.choice(_SIZES)))


def _resize(data: bytearray, rng: Rng) -> bytes:
    return _revalue(data, rng, _TELLING, _SIZES)


def _wrong_codec(data: bytearray, rng: Rng) -> bytes:
    return _revalue(data, rng, (_COMPRESSION,), _CODES)


def _no_tiles(data: bytearray, rng: Rng) -> bytes:
    """Offsets or byte counts that are zero or anything: the array itself where it lies elsewhere."""
    found = _entry(data, rng, _ARRAYS)
    if found is None:
        return _flip(data, rng)
    big, entry = found
    at = entry.at + (12 if big else 8)
    if entry.count > 2 and rng.random() < 0.7 and at + 8 <= len(data):
        (at,) = struct.unpack_from("<Q" if big else "<I", data, at)
    if at + 4 > len(data):
        return bytes(data)
    return _put(data, at, "<I", int(rng.choice([0, 0, 1, len(data), *_SIZES])))


def _revalue(data: bytearray, rng: Rng, tags: tuple[int, ...], values: tuple[int, ...]) -> bytes:
    found = _entry(data, rng, tags)
    if found is None:
        return _flip(data, rng)
    big, entry = found
    # As a LONG, whatever it was: a SHORT holds no giant.
    _put(data, entry.at + 2, "<H", 4)
    return _put(data, entry.at + (12 if big else 8), "<I", int(rng.choice(values)))


def _loop(data: bytearray, rng: Rng) -> bytes:
    """Let the chain of directories go back, or beyond the end."""
    big, directories = _directories(bytes(data))
    if not directories:
        return _flip(data, rng)
    one = directories[rng.integers(len(directories))]
    targets = [each.at for each in directories] + [len(data) - 2, one.at + 1]
    return _put(data, one.next_at, "<Q" if big else "<I", int(rng.choice(targets)))


def _sub_loop(data: bytearray, rng: Rng) -> bytes:
    """Make an entry a SubIFD that is its own parent."""
    big, directories = _directories(bytes(data))
    if not directories:
        return _flip(data, rng)
    one = directories[rng.integers(len(directories))]
    entry = one.entries[rng.integers(len(one.entries))]
    return _put(data, entry.at, "<HHQQ" if big else "<HHII", 330, 16 if big else 4, 1, one.at)


# --- other formats -----------------------------------------------------------------------------------------


def _lying_png(data: bytearray, rng: Rng) -> bytes:
    """Another size, depth or color type, with the right checksum."""
    width, height, depth, color = struct.unpack(">IIBB", data[16:26].ljust(10, b"\0"))
    which = rng.integers(4)
    sizes = [size for size in _SIZES if size < 2**31]
    width, height = (int(rng.choice(sizes)) if which == k else v for k, v in enumerate((width, height)))
    depth = int(rng.choice([1, 2, 4, 8, 16, 3])) if which == 2 else depth
    color = int(rng.choice([0, 2, 3, 4, 6, 5])) if which == 3 else color
    data[16:26] = struct.pack(">IIBB", width, height, depth, color)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def _lying_jpeg(data: bytearray, rng: Rng) -> bytes:
    """Another size or number of components in the frame's header."""
    at = next((data.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data), -1)
    if at < 0 or at + 10 > len(data):
        return _flip(data, rng)
    if rng.random() < 0.3:
        data[at + 9] = rng.integers(0, 6)
        return bytes(data)
    return _put(data, at + 5, ">HH", *(int(rng.choice([0, 1, 255, 4_096, 65_500])) for _ in range(2)))


def _lying_dicom(data: bytearray, rng: Rng) -> bytes:
    """Another value of a number, or another length of an element."""
    places = [place.start() for place in re.finditer(rb"[\x20\x28\x48\x08]\0..(US|UL|IS|UI|CS|SQ|DS)", data)]
    if not places:
        return _flip(data, rng)
    at = places[rng.integers(len(places))]
    kind = bytes(data[at + 4 : at + 6])
    if kind in (b"US", b"UL") and rng.random() < 0.7:
        layout = "<H" if kind == b"US" else "<I"
        limit = 2**16 if kind == b"US" else 2**32
        return _put(data, at + 8, layout, int(rng.choice([size for size in _SIZES if size < limit])))
    return _put(data, at + 6, "<H", int(rng.choice([0, 1, 2, 255, 65_535])))
