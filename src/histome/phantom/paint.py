"""Painting a block of a phantom: stains as optical density, then light, blur and grain."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from histome.phantom.layout import Arc, Blob, Layout, PhantomPart, overlaps
from histome.phantom.nuclei import KINDS, NAMES, RAY_ANGLES, RAYS, PhantomNuclei
from histome.phantom.pyramid import WHITE
from histome.phantom.texture import Image, Textures, sample

# Optical density in R, G, B of one unit of hematoxylin, eosin, erythrocytes.
STAINS = np.array([[0.62, 0.70, 0.31], [0.09, 0.78, 0.40], [0.08, 0.72, 0.60]], np.float32)
PEN_OD = np.array([1.25, 0.62, 0.42], np.float32)
MARGIN_PX = 32
COARSE = 4
LARGEST_CELL_UM = 14.0
BLUR_UM = 4.5
EDGE_UM = 1.2


@dataclass(frozen=True)
class PhantomScene:
    """All that a block is painted from."""

    layout: Layout
    nuclei: PhantomNuclei
    textures: Textures
    mpp: float


@dataclass(frozen=True)
class Block:
    """The pixels being painted: absolute corner (px) and shape, margins included."""

    scene: PhantomScene
    x: int
    y: int
    shape: tuple[int, int]
    sampled: dict[str, Image] = field(default_factory=dict)

    @property
    def box_um(self) -> tuple[float, float, float, float]:
        """Its box (x0, y0, x1, y1) in um."""
        mpp = self.scene.mpp
        return self.x * mpp, self.y * mpp, (self.x + self.shape[1]) * mpp, (self.y + self.shape[0]) * mpp

    def texture(self, name: str) -> Image:
        """Return the part of a texture under the block."""
        if name not in self.sampled:
            self.sampled[name] = sample(getattr(self.scene.textures, name), self.y, self.x, self.shape)
        return self.sampled[name]

    def depth(self, shape: Blob | Arc) -> tuple[tuple[slice, slice], Image] | None:
        """Return the window that a shape touches and its depth there, um; computed coarsely, interpolated.

        The coarse grid is fixed to absolute px, so that neighboring blocks agree.
        """
        mpp, step = self.scene.mpp, COARSE * self.scene.mpp
        rows, columns = self.shape[0] // COARSE, self.shape[1] // COARSE
        x = self.x * mpp + (np.arange(-1, columns + 1) + 0.5) * step
        y = self.y * mpp + (np.arange(-1, rows + 1) + 0.5) * step
        reach = shape.reach + 2 * step
        left, right = np.clip(np.searchsorted(x, [shape.x - reach, shape.x + reach]), 0, columns + 2)
        top, bottom = np.clip(np.searchsorted(y, [shape.y - reach, shape.y + reach]), 0, rows + 2)
        if right - left < 3 or bottom - top < 3:
            return None
        coarse = shape.depth(x[None, left:right], y[top:bottom, None]).astype(np.float32)
        fine = cv2.resize(coarse, None, fx=COARSE, fy=COARSE, interpolation=cv2.INTER_LINEAR)
        fine = fine[COARSE:-COARSE, COARSE:-COARSE].astype(np.float32, copy=False)
        window = (slice(top * COARSE, (bottom - 2) * COARSE), slice(left * COARSE, (right - 2) * COARSE))
        return window, fine


def paint_block(scene: PhantomScene, x_px: int, y_px: int, size_px: int) -> NDArray[np.uint8] | None:
    """Return the (size, size, 3) pixels from (x, y) on, None where nothing but glass is."""
    side = size_px + 2 * MARGIN_PX
    block = Block(scene, x_px - MARGIN_PX, y_px - MARGIN_PX, (side, side))
    layout = scene.layout
    if not layout.within(block.box_um) and not any(overlaps(arc, block.box_um) for arc in layout.pen):
        return None
    stains = _tissues(block)
    _draw_nuclei(block, stains)
    density = (STAINS.T @ stains.reshape(3, -1)).reshape(3, *block.shape).transpose(1, 2, 0)
    density = np.asarray(cv2.GaussianBlur(density, (0, 0), 0.35 / scene.mpp), np.float32)
    _fold(block, density)
    _pen(block, density)
    light = np.float32(WHITE) * np.exp(np.float32(-np.log(10)) * density)
    light = _defocus(block, light)
    light += 1.3 * block.texture("fine")[..., None]
    inner = slice(MARGIN_PX, MARGIN_PX + size_px)
    return np.clip(light[inner, inner] + 0.5, 0, 255).astype(np.uint8)


def _tissues(block: Block) -> Image:
    """Return (3, h, w) amounts of hematoxylin, eosin and erythrocytes without nuclei."""
    stains = np.zeros((3, *block.shape), np.float32)
    materials: dict[PhantomPart, Image] = {}
    for blob in block.scene.layout.within(block.box_um):
        found = block.depth(blob)
        if found is None:
            continue
        (rows, columns), depth = found
        if blob.part not in materials:
            materials[blob.part] = _material(block, blob.part)
        ragged = (
            depth + 1.5 * block.texture("fine")[rows, columns] if blob.part == PhantomPart.STROMA else depth
        )
        cover = np.clip(ragged / EDGE_UM + 0.5, 0, 1)
        stains[:, rows, columns] += cover * (
            materials[blob.part][:, rows, columns] - stains[:, rows, columns]
        )
    return stains


def _material(block: Block, part: PhantomPart) -> Image:
    """Return (3, h, w) stain amounts of one part, as if it filled the block."""
    fine, coarse = block.texture("fine"), block.texture("coarse")
    zero = np.zeros(block.shape, np.float32)
    if part in (PhantomPart.STROMA, PhantomPart.AGGREGATE, PhantomPart.WALL):
        return _fibrous(block, part, fine, coarse)
    match part:
        case PhantomPart.NEST:
            body = 1 - 0.75 * _cell_borders(block)
            hematoxylin, eosin = (0.17 + 0.035 * fine + 0.03 * coarse) * body, (0.24 + 0.045 * fine) * body
            return np.stack([hematoxylin, eosin, zero])
        case PhantomPart.GLAND:
            return np.stack([0.10 + 0.02 * fine, 0.30 + 0.04 * fine + 0.03 * coarse, zero])
        case PhantomPart.NECROSIS:
            dust = np.clip((block.texture("chromatin") - 1.9) * 0.8, 0, 0.7)
            return np.stack([0.07 + dust, 0.34 + 0.10 * fine + 0.06 * coarse, zero])
        case PhantomPart.BLOOD:
            return np.stack([zero, zero + 0.05, 0.52 * block.texture("erythrocytes")])
        case PhantomPart.VESSEL_LUMEN:
            filled = np.clip(coarse * 1.5 + 0.2, 0, 1)
            return np.stack([zero, zero + 0.015, 0.5 * filled * block.texture("erythrocytes")])
        case PhantomPart.FAT:
            return np.stack([0.05 * block.texture("fat"), 0.30 * block.texture("fat"), zero])
    return np.stack([zero, 0.012 + 0.008 * fine, zero])


def _fibrous(block: Block, part: PhantomPart, fine: Image, coarse: Image) -> Image:
    """Return collagen: bundles of two directions, pale clefts between them."""
    along = np.clip(block.texture("mix") * 4 + 0.5, 0, 1)
    fibers = along * block.texture("fibers") + (1 - along) * block.texture("cross_fibers")
    # Clefts: the palest tenth of the bundles opens to the glass.
    open_share = np.clip((fibers - 0.13) / 0.15, 0, 1)
    eosin = (0.11 + 0.34 * fibers + 0.045 * coarse + 0.025 * fine) * open_share
    hematoxylin = (0.05 + 0.05 * fibers + 0.015 * fine) * open_share
    if part == PhantomPart.AGGREGATE:
        eosin, hematoxylin = 0.45 * eosin + 0.03, hematoxylin + 0.06
    if part == PhantomPart.WALL:
        eosin, hematoxylin = 0.36 + 0.16 * (fibers - 0.5) + 0.02 * fine, 0.08 + 0.02 * fine
    return np.stack([hematoxylin, eosin, np.zeros(block.shape, np.float32)])


def _cell_borders(block: Block) -> Image:
    """Return 0-1, 1 half-way between two neighboring nuclei of a nest."""
    mpp, nuclei = block.scene.mpp, block.scene.nuclei
    chosen = _near(block, reach_um=30.0)
    chosen = chosen[nuclei.part[chosen] == PhantomPart.NEST]
    if len(chosen) < 2:
        return np.zeros(block.shape, np.float32)
    points = np.stack([nuclei.x[chosen], nuclei.y[chosen]], axis=-1)
    rows, columns = block.shape[0] // 2, block.shape[1] // 2
    x = (block.x + 2 * np.arange(columns) + 1) * mpp
    y = (block.y + 2 * np.arange(rows) + 1) * mpp
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    distance, _ = KDTree(points).query(grid, k=2, distance_upper_bound=20.0)
    nearest, second = np.minimum(distance, 40.0).T
    gap = second - nearest
    lines = np.clip(1 - gap / 1.1, 0, 1).reshape(rows, columns).astype(np.float32)
    return cv2.resize(lines, (block.shape[1], block.shape[0]), interpolation=cv2.INTER_LINEAR)


def _near(block: Block, reach_um: float) -> NDArray[np.intp]:
    """Return the rows of the nuclei within `reach_um` of the block; they are sorted by y."""
    nuclei, (x0, y0, x1, y1) = block.scene.nuclei, block.box_um
    low, high = np.searchsorted(nuclei.y, [y0 - reach_um, y1 + reach_um])
    x = nuclei.x[low:high]
    return low + np.flatnonzero((x > x0 - reach_um) & (x < x1 + reach_um))


def _draw_nuclei(block: Block, stains: Image) -> None:
    rows = _near(block, LARGEST_CELL_UM)
    for row in rows:
        _draw_cytoplasm(block, stains, int(row))
    for row in rows:
        _draw_nucleus(block, stains, int(row))


def _patch(
    block: Block, x_um: float, y_um: float, reach_um: float
) -> tuple[tuple[slice, slice], Image, Image] | None:
    """Return a window of the block round a point and the offsets (um) of its pixel centers from the point."""
    mpp = block.scene.mpp
    left, right = int((x_um - reach_um) / mpp) - block.x - 1, int((x_um + reach_um) / mpp) - block.x + 2
    top, bottom = int((y_um - reach_um) / mpp) - block.y - 1, int((y_um + reach_um) / mpp) - block.y + 2
    left, top, right, bottom = (
        max(0, left),
        max(0, top),
        min(block.shape[1], right),
        min(block.shape[0], bottom),
    )
    if left >= right or top >= bottom:
        return None
    dx = ((block.x + np.arange(left, right) + 0.5) * mpp - x_um).astype(np.float32)[None]
    dy = ((block.y + np.arange(top, bottom) + 0.5) * mpp - y_um).astype(np.float32)[:, None]
    return (slice(top, bottom), slice(left, right)), dx, dy


def _draw_cytoplasm(block: Block, stains: Image, row: int) -> None:
    nuclei = block.scene.nuclei
    body = KINDS[nuclei.code[row]].cytoplasm
    if body is None:
        return
    radius, hematoxylin, eosin = body
    # The nucleus of a plasma cell or macrophage lies at the side of its cell.
    side = 0.0 if NAMES[nuclei.code[row]] == "granulocyte" else 0.33 * radius
    turn = nuclei.seed[row] % 628 / 100
    found = _patch(
        block, nuclei.x[row] + side * np.cos(turn), nuclei.y[row] + side * np.sin(turn), radius + 2
    )
    if found is None:
        return
    window, dx, dy = found
    cover = np.clip((radius - np.hypot(dx, dy)) / 0.8 + 0.5, 0, 1) * 0.85
    grain = 1 + 0.12 * block.texture("fine")[window]
    for channel, amount in enumerate((hematoxylin, eosin, 0.0)):
        stains[channel][window] += cover * (amount * grain - stains[channel][window])


def _draw_nucleus(block: Block, stains: Image, row: int) -> None:
    nuclei = block.scene.nuclei
    kind, radii = KINDS[nuclei.code[row]], nuclei.radii[row]
    found = _patch(block, nuclei.x[row], nuclei.y[row], float(radii.max()) + 1)
    if found is None:
        return
    window, dx, dy = found
    distance = np.hypot(dx, dy)
    outline = np.interp(np.arctan2(dy, dx), RAY_ANGLES - np.pi, np.roll(radii, RAYS // 2), period=2 * np.pi)
    depth = outline - distance
    cover = np.clip(depth / 0.7 + 0.5, 0, 1)
    shift, (rows, columns) = int(nuclei.seed[row] % 509), window
    clumps = sample(
        block.scene.textures.chromatin,
        block.y + rows.start + shift,
        block.x + columns.start + 3 * shift,
        cover.shape,
    )
    hematoxylin = (
        kind.hematoxylin + kind.clumps * clumps + kind.rim * np.clip(1 - np.abs(depth - 0.5) / 0.7, 0, 1)
    )
    hematoxylin = np.maximum(hematoxylin * nuclei.density[row], 0.15)
    eosin = np.full_like(hematoxylin, 0.10)
    _add_nucleoli(kind.nucleoli, int(nuclei.seed[row]), (dx, dy), float(radii.min()), hematoxylin, eosin)
    for channel, amount in enumerate((hematoxylin, eosin, 0.0)):
        stains[channel][window] += cover * (amount - stains[channel][window])


def _add_nucleoli(
    count: int, seed: int, offsets: tuple[Image, Image], radius: float, hematoxylin: Image, eosin: Image
) -> None:
    for number in range(count if seed % 3 else count - 1):
        angle, away = (seed // 7 + 229 * number) % 628 / 100, 0.45 * radius * ((seed // 11) % 10) / 10
        distance = np.hypot(offsets[0] - away * np.cos(angle), offsets[1] - away * np.sin(angle))
        spot = np.clip((1.05 - distance) / 0.5 + 0.5, 0, 1)
        hematoxylin += 0.5 * spot
        eosin += 0.3 * spot


def _fold(block: Block, density: Image) -> None:
    """Lay the tissue double, shifted against itself and crumpled, along each fold."""
    for arc in block.scene.layout.folds:
        found = block.depth(arc) if overlaps(arc, block.box_um) else None
        if found is None or found[1].max() < 0:
            continue
        window, depth = found
        cover = np.clip(depth / 4.0, 0, 1)[..., None]
        crumple = (
            1.0
            + 0.22 * block.texture("mix")[window][..., None]
            + 0.9 * np.clip(1 - depth / 6, 0, 1)[..., None]
        )
        second = np.roll(density, (9, -13), axis=(0, 1))[window]
        density[window] += cover * crumple * (0.35 * second + 0.65 * cv2.GaussianBlur(second, (0, 0), 4))


def _pen(block: Block, density: Image) -> None:
    for arc in block.scene.layout.pen:
        found = block.depth(arc) if overlaps(arc, block.box_um) else None
        if found is None or found[1].max() < -5:
            continue
        window, depth = found
        # Ink is denser at the border of a stroke and streaky inside.
        ink = np.clip(depth / 5 + 0.5, 0, 1) * (0.72 + 0.4 * np.exp(-np.maximum(depth, 0) / 9))
        ink *= 1 + 0.10 * block.texture("coarse")[window]
        density[window] += ink[..., None] * PEN_OD


def _defocus(block: Block, light: Image) -> Image:
    """Blur by a disc where the slide is out of focus; light spreads, not density."""
    for blob in block.scene.layout.blurs:
        found = block.depth(blob) if overlaps(blob, block.box_um) else None
        if found is None:
            continue
        window, depth = found
        radius = BLUR_UM / block.scene.mpp
        side = np.arange(-int(radius) - 1, int(radius) + 2)
        disc = np.clip(radius + 0.5 - np.hypot(side[:, None], side), 0, 1)
        blurred = cv2.filter2D(light, -1, (disc / disc.sum()).astype(np.float32))
        cover = np.clip(depth / 10 + 0.5, 0, 1)[..., None]
        light[window] += cover * (blurred[window] - light[window])
    return light
