"""The nuclei of a phantom: where they lie, what they are, and their exact star-convex outlines."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from histome.phantom.layout import Blob, Layout, PhantomPart
from histome.phantom.texture import Image, Textures

RAYS = 32
# No nucleus is longer, no two outlines come closer than the gap, no two centers than the last.
LARGEST_UM, GAP_UM, TOO_CLOSE_UM = 26.0, 0.5, 5.0
RAY_ANGLES = 2 * np.pi * np.arange(RAYS) / RAYS


@dataclass(frozen=True)
class Kind:
    """Typical looks of a class.

    Attributes
    ----------
    long_um : float, um
        Long axis.
    spread : float
        Of the long axis: SD of its logarithm.
    aspect : float
        Long over short axis.
    waves : float
        Amplitude of the outline's waves.
    lobes : float
        Amplitude of the second and third wave.
    hematoxylin : float
        Mean density.
    clumps : float
        The chromatin's contrast.
    rim : float
        The membrane's density.
    cytoplasm : (radius um, hematoxylin, eosin) or None
        A body of its own round the nucleus.
    """

    name: str
    long_um: float
    spread: float
    aspect: float
    waves: float
    lobes: float
    hematoxylin: float
    clumps: float
    rim: float
    nucleoli: int = 0
    cytoplasm: tuple[float, float, float] | None = None


KINDS = (
    Kind("carcinoma_cell", 12.0, 0.18, 1.28, 0.030, 0.04, 0.40, 0.16, 0.30, nucleoli=2),
    Kind("endothelial_cell", 11.0, 0.10, 3.2, 0.020, 0.03, 0.78, 0.14, 0.10),
    Kind("epithelial_cell", 9.6, 0.07, 1.65, 0.015, 0.02, 0.66, 0.16, 0.18),
    Kind("fibroblast", 14.0, 0.15, 3.4, 0.020, 0.05, 0.66, 0.14, 0.14),
    Kind("granulocyte", 7.0, 0.07, 1.10, 0.020, 0.26, 1.02, 0.12, 0.05, cytoplasm=(5.4, 0.03, 0.62)),
    Kind("lymphocyte", 6.6, 0.06, 1.08, 0.015, 0.02, 0.96, 0.26, 0.15),
    Kind(
        "macrophage", 9.8, 0.09, 1.45, 0.020, 0.12, 0.46, 0.14, 0.24, nucleoli=1, cytoplasm=(8.5, 0.07, 0.13)
    ),
    Kind("other", 10.5, 0.12, 3.0, 0.020, 0.04, 0.74, 0.14, 0.12),
    Kind("plasma_cell", 7.4, 0.06, 1.10, 0.015, 0.02, 0.84, 0.34, 0.20, cytoplasm=(6.4, 0.32, 0.26)),
)
NAMES = tuple(kind.name for kind in KINDS)

# The cells of a part: spacing of their lattice (um), free margin inside the part's border (um), shares.
_CROWDS = {
    PhantomPart.NEST: (13.2, 5.5, {"carcinoma_cell": 0.94, "lymphocyte": 0.045, "granulocyte": 0.015}),
    PhantomPart.STROMA: (
        21.0,
        8.0,
        {
            "fibroblast": 0.62,
            "lymphocyte": 0.14,
            "plasma_cell": 0.08,
            "macrophage": 0.07,
            "granulocyte": 0.04,
            "endothelial_cell": 0.05,
        },
    ),
    PhantomPart.AGGREGATE: (8.6, 3.5, {"lymphocyte": 0.87, "plasma_cell": 0.10, "macrophage": 0.03}),
    PhantomPart.FAT: (17.0, 3.0, {"other": 1.0}),
}


@dataclass(frozen=True)
class PhantomNuclei:
    """One row a nucleus: center (um), class code (index of NAMES), radii on RAY_ANGLES (um), looks."""

    x: Image
    y: Image
    code: NDArray[np.int64]
    angle: Image
    radii: Image
    part: NDArray[np.uint8]
    density: Image
    seed: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.x)

    def polygons_um(self) -> Image:
        """Return the outlines (n, 32, 2) as x, y in um."""
        steps = np.stack([np.cos(RAY_ANGLES), np.sin(RAY_ANGLES)], axis=-1)
        return (np.stack([self.x, self.y], -1)[:, None] + self.radii[..., None] * steps).astype(np.float32)

    def take(self, rows: NDArray[np.intp]) -> "PhantomNuclei":
        """Return some of the nuclei."""
        return PhantomNuclei(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Seats:
    """Places for nuclei: where, of which class, turned how (nan = at random)."""

    x: Image
    y: Image
    code: NDArray[np.int64]
    angle: Image


def make_nuclei(rng: np.random.Generator, layout: Layout, textures: Textures, mpp: float) -> PhantomNuclei:
    """Return all nuclei of a layout, in order of y then x; none overlaps another by more than a sliver."""
    seats = [seat for index in range(len(layout.blobs)) for seat in _seats(rng, layout, index)]
    seats = [_on_membranes(seat, textures, mpp) for seat in seats]
    x, y, code, angle = (
        np.concatenate([getattr(seat, key) for seat in seats]) for key in ("x", "y", "code", "angle")
    )
    order = np.setdiff1d(np.arange(len(x)), _too_close(x, y))
    order = order[np.lexsort((x[order], y[order]))]
    x, y, code, angle = x[order], y[order], code[order], angle[order]
    angle = _along_fibers(x, y, code, angle, textures, mpp)
    random = rng.uniform(0, np.pi, len(x))
    angle = np.where(np.isnan(angle), random, angle)
    density = rng.normal(1, 0.10, len(x)).clip(0.7, 1.3).astype(np.float32)
    seeds = rng.integers(0, 2**31, len(x))
    radii = _apart(x, y, _outlines(rng, code, angle))
    return PhantomNuclei(x, y, code, angle, radii, layout.parts_at(x, y), density, seeds)


def _seats(rng: np.random.Generator, layout: Layout, index: int) -> list[_Seats]:
    blob = layout.blobs[index]
    if blob.part == PhantomPart.GLAND:
        return [_ring(rng, blob, "epithelial_cell", depth_um=8.5, spacing_um=7.4, turn=0.0)]
    if blob.part == PhantomPart.WALL:
        return [_ring(rng, blob, "endothelial_cell", depth_um=6.0, spacing_um=17.0, turn=np.pi / 2)]
    if blob.part not in _CROWDS:
        return []
    spacing, margin, shares = _CROWDS[blob.part]
    x, y = _lattice(rng, blob, spacing)
    keep = (blob.depth(x, y) > margin) & _clear(layout.over(index), x, y, margin)
    x, y = x[keep], y[keep]
    codes = rng.choice([NAMES.index(name) for name in shares], len(x), p=list(shares.values()))
    return [_Seats(x, y, codes, np.full(len(x), np.nan))]


def _lattice(rng: np.random.Generator, blob: Blob, spacing: float) -> tuple[Image, Image]:
    """Return a jittered hexagonal lattice round a blob."""
    steps = np.arange(-blob.reach, blob.reach + spacing, spacing)
    row, column = np.meshgrid(np.arange(len(steps)), np.arange(len(steps)), indexing="ij")
    x = blob.x + steps[column] + spacing * 0.5 * (row % 2)
    y = blob.y + steps[row]
    jitter = rng.uniform(-0.24, 0.24, (2, *x.shape)) * spacing
    return (x + jitter[0]).ravel(), (y + jitter[1]).ravel()


def _clear(over: list[Blob], x: Image, y: Image, margin: float) -> NDArray[np.bool_]:
    """Return which points keep `margin` um from all that lies over their blob."""
    free = np.ones(len(x), bool)
    for blob in over:
        reach = blob.reach + margin
        near = np.flatnonzero((np.abs(x - blob.x) < reach) & (np.abs(y - blob.y) < reach))
        free[near[blob.depth(x[near], y[near]) > -margin]] = False
    return free


def _ring(
    rng: np.random.Generator, blob: Blob, name: str, *, depth_um: float, spacing_um: float, turn: float
) -> _Seats:
    """Return nuclei in a row along an outline, turned against the radius by `turn`."""
    line = blob.resized(blob.part, -depth_um)
    count = max(3, int(2 * np.pi * line.radius / spacing_um))
    angle = (np.arange(count) + rng.uniform(-0.14, 0.14, count)) * 2 * np.pi / count
    radius = line.radius_at(angle) + rng.uniform(-0.8, 0.8, count)
    x, y = line.x + radius * np.cos(angle), line.y + radius * np.sin(angle)
    return _Seats(x, y, np.full(count, NAMES.index(name)), angle + turn + rng.normal(0, 0.08, count))


def _at(texture: Image, x: Image, y: Image, mpp: float) -> Image:
    """Return a texture's values at points given in um."""
    row, column = np.floor(y / mpp).astype(np.int64), np.floor(x / mpp).astype(np.int64)
    return texture[row % texture.shape[0], column % texture.shape[1]]


def _on_membranes(seats: _Seats, textures: Textures, mpp: float) -> _Seats:
    """Return the seats without those of fat cells that lie in the empty vacuole."""
    keep = (seats.code != NAMES.index("other")) | (_at(textures.fat, seats.x, seats.y, mpp) > 0.6)
    return _Seats(seats.x[keep], seats.y[keep], seats.code[keep], seats.angle[keep])


def _too_close(x: Image, y: Image) -> NDArray[np.int64]:
    """Return the later one of every pair of seats too close for two nuclei."""
    pairs = KDTree(np.stack([x, y], axis=-1)).query_pairs(TOO_CLOSE_UM, output_type="ndarray")
    return np.unique(pairs.max(axis=1))


def _along_fibers(
    x: Image,
    y: Image,
    code: NDArray[np.int64],
    angle: Image,
    textures: Textures,
    mpp: float,
) -> Image:
    """Return the angles with the spindle cells of the stroma turned along the fibers below them."""
    along, across = (_at(texture, x, y, mpp) for texture in (textures.fiber_angle, textures.cross_angle))
    fibers = np.where(_at(textures.mix, x, y, mpp) > 0, along, across)
    spindle = np.isin(code, [NAMES.index("fibroblast"), NAMES.index("endothelial_cell")]) & np.isnan(angle)
    return np.where(spindle, fibers, angle)


def _outlines(rng: np.random.Generator, code: NDArray[np.int64], angle: Image) -> Image:
    """Return radii (n, 32) um: an ellipse with waves, turned by `angle`."""

    def of(field: str) -> Image:
        return np.array([getattr(kind, field) for kind in KINDS], np.float64)[code][:, None]

    count = len(code)
    long = of("long_um") / 2 * np.exp(rng.normal(0, 1, (count, 1)) * of("spread"))
    short = long / (of("aspect") * np.exp(rng.normal(0, 0.07, (count, 1)))).clip(1.0, None)
    own = RAY_ANGLES - angle[:, None]
    ellipse = long * short / np.hypot(short * np.cos(own), long * np.sin(own))
    waves = np.ones((count, RAYS))
    for order in range(2, 6):
        amplitude = rng.normal(0, 1, (count, 1)) * of("waves")
        if order in (2, 3):
            amplitude = amplitude + rng.uniform(0.4, 1, (count, 1)) * of("lobes") * (1 if order == 3 else 0.6)
        waves += amplitude * np.cos(order * own + rng.uniform(0, 2 * np.pi, (count, 1)))
    return (ellipse * waves.clip(0.5, 1.5)).astype(np.float32)


def _apart(x: Image, y: Image, radii: Image) -> Image:
    """Return the outlines shrunk where two would meet on the line between their centers."""
    pairs = KDTree(np.stack([x, y], axis=-1)).query_pairs(LARGEST_UM, output_type="ndarray")
    first, second = pairs.T
    dx, dy = x[second] - x[first], y[second] - y[first]
    ray = np.round(np.arctan2(dy, dx) / (2 * np.pi) * RAYS).astype(np.int64)
    reach = _reach(radii, first, ray) + _reach(radii, second, ray + RAYS // 2)
    fit = (np.hypot(dx, dy) - GAP_UM) / reach
    shrink = np.ones(len(x))
    for rows in (first, second):
        np.minimum.at(shrink, rows, fit)
    return radii * shrink[:, None].clip(0.5, 1).astype(np.float32)


def _reach(radii: Image, rows: NDArray[np.intp], ray: NDArray[np.int64]) -> Image:
    """Return the longest of the three rays nearest to a direction."""
    return np.max([radii[rows, (ray + step) % RAYS] for step in (-1, 0, 1)], axis=0)
