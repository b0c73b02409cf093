"""Pictures of the whole slide: the thumbnail and, in its pixels, the quality, tissue and cell layers."""

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from histome.report.palette import rgb
from histome.slide.maps import ClassMap

FILL_ALPHA = 90  # of 255: the tissue under it stays readable
_OUTLINE_ALPHA = 255
_POINT_ALPHA = 235


def shrink_map(class_map: ClassMap, extent_um: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Return the codes of a class map in a picture of the slide: uint8 (h, w), the commonest class of each pixel.

    `extent_um` is the slide's (width, height), `shape` the picture's (height, width). Pixels that are mostly not
    analyzed, or beyond the map, are 0. Memory: one byte mask of the map's size at a time.
    """
    return np.argmax(class_shares(class_map, extent_um, shape), axis=0).astype(np.uint8)


def class_shares(class_map: ClassMap, extent_um: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Return the area share of each code, not analyzed first, on a grid over the slide: float32 (k + 1, h, w)."""
    covered = _fit(class_map.array, class_map.mpp, extent_um)
    codes = range(len(class_map.classes) + 1)
    return np.stack([_area_share(covered == code, shape) for code in codes]).astype(np.float32) / 255


def _fit(array: np.ndarray, mpp: float, extent_um: tuple[float, float]) -> np.ndarray:
    """Crop or pad (0) a map to the slide's extent."""
    width, height = (max(1, round(side / mpp)) for side in extent_um)
    inside = array[:height, :width]
    missing = (height - inside.shape[0], width - inside.shape[1])
    return np.pad(inside, ((0, missing[0]), (0, missing[1]))) if any(missing) else inside


def _area_share(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    grows = mask.shape[0] < shape[0] or mask.shape[1] < shape[1]
    method = cv2.INTER_NEAREST if grows else cv2.INTER_AREA
    return cv2.resize(mask.astype(np.uint8) * 255, (shape[1], shape[0]), interpolation=method)


def class_layer(codes: np.ndarray, colors: Sequence[str | None], *, filled: Sequence[bool]) -> np.ndarray:
    """Return a translucent picture of class codes with opaque outlines: uint8 RGBA (h, w, 4).

    `colors[k - 1]` draws code k (None: not drawn); where `filled[k - 1]` is False only the outline is.
    """
    table = np.zeros((len(colors) + 1, 4), np.uint8)
    for code, (color, fill) in enumerate(zip(colors, filled, strict=True), start=1):
        if color is not None:
            table[code] = (*rgb(color), FILL_ALPHA if fill else 0)
    layer = table[codes]
    drawn = np.array([False] + [color is not None for color in colors])[codes]
    layer[..., 3][_edges(codes) & drawn] = _OUTLINE_ALPHA
    return layer


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
) -> np.ndarray:
    """Return cells as points colored by class: uint8 RGBA (h, w, 4).

    `rows`, `columns` are picture pixels (float), `codes` index `colors`. Few cells are discs of up to 3 px; once
    discs would cover the picture each pixel takes the commonest class of its cells. Time and memory depend on
    the picture and grow linearly with the cells (1 M cells: about 0.2 s).
    """
    counts = _count(rows, columns, codes, shape=shape, n_classes=len(colors))
    table = np.array([rgb(color) for color in colors], np.uint8)
    radius = _point_radius(len(rows), int(np.count_nonzero(counts.sum(axis=0))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    spread = np.stack([cv2.dilate(np.minimum(plane, 255).astype(np.uint8), disc) for plane in counts])
    layer = np.zeros((*shape, 4), np.uint8)
    layer[..., :3] = table[np.argmax(spread, axis=0)]
    layer[..., 3] = np.where(spread.any(axis=0), _POINT_ALPHA, 0)
    return layer


def _count(
    rows: np.ndarray, columns: np.ndarray, codes: np.ndarray, *, shape: tuple[int, int], n_classes: int
) -> np.ndarray:
    """Cells of each class in each pixel, int (classes, h, w)."""
    row = np.clip(rows.astype(np.int64), 0, shape[0] - 1)
    column = np.clip(columns.astype(np.int64), 0, shape[1] - 1)
    flat = (codes.astype(np.int64) * shape[0] + row) * shape[1] + column
    return np.bincount(flat, minlength=n_classes * shape[0] * shape[1]).reshape(n_classes, *shape)


def _point_radius(n_cells: int, n_pixels: int) -> int:
    """Disc radius in px that keeps neighboring cells apart: cells per occupied pixel says how crowded it is."""
    if n_cells == 0:
        return 0
    crowding = n_cells / max(1, n_pixels)
    return 0 if crowding > 1.2 else 1 if n_cells > 20_000 else 2


def png_uri(rgba: np.ndarray) -> str:
    """Return an RGBA picture of few colors as a PNG data URI (palette with transparency where it fits)."""
    values, codes = np.unique(rgba.reshape(-1, 4).view(np.uint32), return_inverse=True)
    if len(values) > 256:
        return _data_uri(Image.fromarray(rgba, "RGBA"), "png", optimize=True)
    colors = values.view(np.uint8).reshape(-1, 4)
    image = Image.fromarray(codes.reshape(rgba.shape[:2]).astype(np.uint8), "P")
    image.putpalette(colors[:, :3].tobytes())
    image.info["transparency"] = colors[:, 3].tobytes()
    return _data_uri(image, "png", optimize=True, transparency=colors[:, 3].tobytes())


def jpeg_uri(pixels: np.ndarray, quality: int) -> str:
    """Return an RGB picture as a JPEG data URI."""
    return _data_uri(Image.fromarray(pixels), "jpeg", quality=quality, optimize=True)


def _data_uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def scale_bar_um(extent_um: float, share: float = 0.2) -> float:
    """Return the length of a scale bar: 1, 2 or 5 times a power of ten, at most `share` of the picture's width."""
    limit = max(extent_um * share, 1e-3)
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(step * power for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9)))


def length_text(length_um: float) -> str:
    """Return a scale bar's label: `200 µm` or `2 mm`."""
    return f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"

