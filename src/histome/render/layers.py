"""Pictures of the whole slide: the thumbnail's quality, tissue and cell layers, in its own pixels."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from histome.colors import rgb
from histome.slide.maps import ClassMap

VEIL_ALPHA = 165  # for pale colors, which tint little
HATCH_PX = 12  # from stripe to stripe, a third of it drawn
_OUTLINE_ALPHA = 255
_POINT_ALPHA = 235


class Layer(NamedTuple):
    """A picture of few colors: `codes` uint8 (h, w) index `colors`, uint8 RGBA (k, 4)."""

    codes: np.ndarray
    colors: np.ndarray


def shrink_map(class_map: ClassMap, extent_um: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Return a class map's codes in a picture of the slide, uint8 (h, w): the commonest class of each pixel.

    `extent_um` is the slide's (width, height), `shape` the picture's (height, width). Pixels that are mostly
    not analyzed, or beyond the map, are 0; of two equal shares the lower code counts.
    """
    codes, best = np.zeros(shape, np.uint8), _area_share(class_map, extent_um, _only(0), shape)
    for code in range(1, len(class_map.classes) + 1):
        share = _area_share(class_map, extent_um, _only(code), shape)
        codes[share > best] = code
        np.maximum(best, share, out=best)
    return codes


def class_shares(class_map: ClassMap, extent_um: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Return the area share of each class on a grid over the slide, float32 (k, h, w) in 0-1."""
    codes = range(1, len(class_map.classes) + 1)
    shares = [_area_share(class_map, extent_um, _only(code), shape) for code in codes]
    return np.stack(shares).astype(np.float32) / 255


def shrink_values(
    read: Callable[[], np.ndarray],
    class_map: ClassMap,
    extent_um: tuple[float, float],
    shape: tuple[int, int],
) -> np.ndarray:
    """Return the mean of a map's values in a picture of the slide, float32 (h, w); see `shrink_map`.

    What `read` gives, uint8, lies on the pixels of `class_map`, and becomes 0 where it is not analyzed; what
    is mostly not analyzed is NaN.
    """
    share = _area_share(class_map, extent_um, ~_only(0), shape)
    values = read()
    for own, codes in zip(values, class_map.array, strict=True):  # row by row: a mask is as large as the map
        own[codes == 0] = 0
    sums = _resized(_chosen(values, class_map.mpp, extent_um, _SAME), shape).astype(np.float32)
    return np.where(share > 127, 255 * sums / np.maximum(share, 1), np.float32(np.nan))


_SAME = np.arange(256, dtype=np.uint8)
_ROWS = 1024


def _chosen(
    array: np.ndarray, mpp: float, extent_um: tuple[float, float], value_of: np.ndarray
) -> np.ndarray:
    """Return `value_of` each code, (256,) uint8, of a map cut to the slide's extent or filled up by 0."""
    width, height = (max(1, round(side / mpp)) for side in extent_um)
    inside = array[:height, :width]
    if inside.shape == (height, width):
        return inside if value_of is _SAME else cv2.LUT(inside, value_of)
    found = np.full((height, width), value_of[0], np.uint8)
    for top in range(0, len(inside), _ROWS):  # into a part of an array OpenCV writes by way of a copy
        rows = slice(top, min(top + _ROWS, len(inside)))
        found[rows, : inside.shape[1]] = cv2.LUT(inside[rows], value_of)
    return found


def _only(code: int) -> np.ndarray:
    """255 for one code, 0 for all others, uint8 (256,)."""
    return np.where(np.arange(256) == code, 255, 0).astype(np.uint8)


def _area_share(
    class_map: ClassMap, extent_um: tuple[float, float], chosen: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Share of each pixel of a smaller picture that chosen codes (255, others 0) cover, uint8 0-255."""
    return _resized(_chosen(class_map.array, class_map.mpp, extent_um, chosen), shape)


def _resized(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the mean of the pixels under each pixel of a smaller picture, the nearest one of a larger."""
    grows = array.shape[0] < shape[0] or array.shape[1] < shape[1]
    return cv2.resize(
        array, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_AREA
    )


def class_layer(
    codes: np.ndarray, colors: Sequence[str | None], *, alphas: Sequence[int], outlined: bool = True
) -> Layer:
    """Return class codes as a translucent layer, `outlined` with opaque borders.

    `colors[k - 1]` draws code k (None: not drawn), filled with the opacity `alphas[k - 1]` (0-255).
    """
    fills = np.zeros((len(colors) + 1, 4), np.uint8)
    lines = fills.copy()
    for code, (color, alpha) in enumerate(zip(colors, alphas, strict=True), start=1):
        if color is not None:
            fills[code] = (*rgb(color), alpha)
            lines[code] = (*rgb(color), _OUTLINE_ALPHA)
    if not outlined:
        return Layer(codes, fills)
    drawn = codes + np.uint8(len(fills)) * _edges(codes)
    return Layer(drawn, np.concatenate([fills, lines]))


def border_layer(codes: np.ndarray, colors: Sequence[str | None]) -> Layer:
    """Return the borders of classes alone, opaque, two pixels wide on either side, each in its own color."""
    drawn = class_layer(codes, colors, alphas=[255] * len(colors), outlined=False)
    wide = cv2.dilate(_edges(codes).view(np.uint8), np.ones((3, 3), np.uint8))
    return drawn._replace(codes=codes * wide)


def hatched(codes: np.ndarray, code: int) -> np.ndarray:
    """Return codes with one of them cut into diagonal stripes, 0 between them."""
    row, column = np.ogrid[: codes.shape[0], : codes.shape[1]]
    return np.where((codes == code) & ((row + column) % HATCH_PX >= HATCH_PX // 3), np.uint8(0), codes)


def _edges(codes: np.ndarray) -> np.ndarray:
    """Pixels that touch another class to the right, left, above or below."""
    edges = np.zeros(codes.shape, bool)
    down, right = codes[1:] != codes[:-1], codes[:, 1:] != codes[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= right
    edges[:, :-1] |= right
    return edges


def cell_layer(
    rows: np.ndarray, columns: np.ndarray, codes: np.ndarray, *, shape: tuple[int, int], colors: Sequence[str]
) -> Layer:
    """Return cells as points colored by class.

    `rows`, `columns` are picture pixels, `codes` index `colors`. Few cells are discs; where several lie
    in one pixel it takes the commonest class. Time and memory grow linearly with the cells.
    """
    pixels, classes, crowding = _commonest(rows, columns, codes, shape=shape, n_classes=len(colors))
    radius = _point_radius(len(pixels), crowding, shape[0] * shape[1])
    row, column = np.divmod(pixels, shape[1])
    picture = np.zeros((shape[0] + 2 * radius, shape[1] + 2 * radius), np.uint8)
    for down, right in np.argwhere(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)):
        picture[row + down, column + right] = classes + 1
    table = [(0, 0, 0, 0), *((*rgb(color), _POINT_ALPHA) for color in colors)]
    inside = picture[radius : radius + shape[0], radius : radius + shape[1]]
    return Layer(np.ascontiguousarray(inside), np.array(table, np.uint8))


def _commonest(
    rows: np.ndarray, columns: np.ndarray, codes: np.ndarray, *, shape: tuple[int, int], n_classes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Occupied pixels (flat), the commonest class in each, and the mean number of cells in them."""
    row = np.clip(rows.astype(np.int64), 0, shape[0] - 1)
    column = np.clip(columns.astype(np.int64), 0, shape[1] - 1)
    kinds, counts = np.unique((row * shape[1] + column) * n_classes + codes, return_counts=True)
    pixel, code = np.divmod(kinds, n_classes)
    order = np.lexsort((code, -counts, pixel))
    first = order[np.flatnonzero(np.diff(pixel[order], prepend=-1))]
    return pixel[first], code[first], len(rows) / max(1, len(first))


def _point_radius(n_pixels: int, crowding: float, area_px: int) -> int:
    """Disc radius in px: a fifth of the spacing of evenly spread cells, 0 where several share a pixel."""
    if crowding > 1.2:
        return 0
    return int(np.clip(round((area_px / max(1, n_pixels)) ** 0.5 / 5), 1, 5))


def png_uri(layer: Layer) -> str:
    """Return a layer as the data URI of a PNG with a palette."""
    image = Image.fromarray(layer.codes).convert("P")
    image.putpalette(layer.colors[:, :3].tobytes())
    return _data_uri(image, "png", optimize=True, transparency=layer.colors[:, 3].tobytes())


def jpeg_uri(pixels: np.ndarray, quality: int) -> str:
    """Return an RGB picture as a JPEG data URI."""
    return _data_uri(Image.fromarray(pixels), "jpeg", quality=quality, optimize=True)


def _data_uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def scale_bar_um(extent_um: float, share: float = 0.2) -> float:
    """Return the length of a scale bar: 1, 2 or 5 x a power of ten, at most `share` of the width."""
    limit = max(extent_um * share, 1e-3)
    power = 10.0 ** math.floor(math.log10(limit))
    return max(step * power for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9))


def length_text(length_um: float) -> str:
    """Return a scale bar's label: `200 µm` or `2 mm`."""
    return f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
