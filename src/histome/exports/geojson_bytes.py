"""Detections as GeoJSON, written as bytes by compiled code: a million cells in seconds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
# No number: the measurement is left out.
NULL = np.iinfo(np.int64).min
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_START = b'{"type":"Feature","id":"'
_GEOMETRY = b'","geometry":{"type":"Polygon","coordinates":[['
_PROPERTIES = b']]},"properties":{"objectType":"detection","classification":'
_MEASURES = b',"measurements":{'
_END = b"}}}"
# Digits of an int64, its sign and its point.
_WIDEST = 21


class Detections(NamedTuple):
    """n detections as columns.

    Attributes
    ----------
    number : (n,) int64
        Their ids end with it, as 12 hexadecimal digits.
    corners : (m, 2) int64
        x, y of all closed rings, in tenths of a px.
    ends : (n,) int64
        Where each ring ends in `corners`.
    kind : (n,) int64
        Which text of `Wording.kinds` says its class.
    measures : (n, k) int64
        Values times 10 to the power of `Wording.decimals`; `NULL` where there is none.
    """

    number: NDArray[np.int64]
    corners: NDArray[np.int64]
    ends: NDArray[np.int64]
    kind: NDArray[np.int64]
    measures: NDArray[np.int64]


class Wording(NamedTuple):
    """What is written round the numbers: start of the ids, JSON of each class, of each measurement's name."""

    id_start: bytes
    kinds: Sequence[bytes]
    names: Sequence[bytes]
    decimals: tuple[int, ...]


def write_detections(found: Detections, words: Wording) -> bytes:
    """Return features, with a comma after each."""
    parts = [_START + words.id_start, _GEOMETRY, _PROPERTIES, _MEASURES, _END]
    names = [name + b":" for name in words.names]
    per_cell = sum(map(len, parts)) + max(map(len, words.kinds)) + sum(map(len, names)) + 16
    size = len(found.number) * (per_cell + len(names) * (_WIDEST + 2)) + len(found.corners) * 2 * (
        _WIDEST + 2
    )
    out = np.empty(size, np.uint8)
    texts = (_joined(parts), _joined(words.kinds), _joined(names))
    end = _write(out, found, texts, np.array(words.decimals, np.int64))
    return out[:end].tobytes()


def _joined(texts: Sequence[bytes]) -> tuple[Bytes, NDArray[np.int64]]:
    """Return texts in one array, and where each begins and the last ends."""
    joined = np.frombuffer(b"".join(texts), np.uint8)
    return joined, np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)


@njit(cache=True, nogil=True)
def _write(out, found, texts, decimals):  # pragma: no cover (compiled)
    """Write all features; returns where they end."""
    parts, kinds, names = texts
    at, corner = 0, 0
    for i in range(len(found.number)):
        at = _put(out, at, parts, 0)
        at = _put_hex(out, at, found.number[i])
        at = _put(out, at, parts, 1)
        first = corner
        while corner < found.ends[i]:
            if corner > first:
                out[at] = 44  # ,
                at += 1
            out[at] = 91  # [
            at = _put_number(out, at + 1, found.corners[corner, 0], 1)
            out[at] = 44
            at = _put_number(out, at + 1, found.corners[corner, 1], 1)
            out[at] = 93  # ]
            at += 1
            corner += 1
        at = _put(out, at, parts, 2)
        at = _put(out, at, kinds, found.kind[i])
        at = _put(out, at, parts, 3)
        at = _put_measures(out, at, found.measures[i], names, decimals)
        at = _put(out, at, parts, 4)
        out[at] = 44
        at += 1
    return at


@njit(cache=True, nogil=True)
def _put_measures(out, at, values, names, decimals):  # pragma: no cover (compiled)
    some = False
    for k in range(len(values)):
        if values[k] != NULL:
            if some:
                out[at] = 44
                at += 1
            at = _put(out, at, names, k)
            at = _put_number(out, at, values[k], decimals[k])
            some = True
    return at


@njit(cache=True, nogil=True, inline="always")
def _put(out, at, texts, k):  # pragma: no cover (compiled)
    joined, bounds = texts
    for place in range(bounds[k], bounds[k + 1]):
        out[at] = joined[place]
        at += 1
    return at


@njit(cache=True, nogil=True, inline="always")
def _put_hex(out, at, number):  # pragma: no cover (compiled)
    for place in range(12):
        out[at + place] = _HEX[(number >> (4 * (11 - place))) & 15]
    return at + 12


@njit(cache=True, nogil=True)
def _put_number(out, at, scaled, decimals):  # pragma: no cover (compiled)
    """Write scaled / 10^decimals without zeros at the end."""
    if scaled < 0:
        out[at] = 45  # -
        at += 1
        scaled = -scaled
    while decimals > 0 and scaled % 10 == 0:
        scaled //= 10
        decimals -= 1
    width, rest = 1, scaled // 10
    while rest > 0 or width <= decimals:
        rest //= 10
        width += 1
    point = 1 if decimals > 0 else 0
    end = at + width + point
    place = end - 1
    for digit in range(width):
        if point and digit == decimals:
            out[place] = 46  # .
            place -= 1
        out[place] = 48 + scaled % 10
        scaled //= 10
        place -= 1
    return end
