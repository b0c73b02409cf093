"""The views shown at full resolution: fields chosen by rule from the maps and cells, all nuclei outlined."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from histome.cells.table import class_codes
from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES
from histome.geotable import TableLike
from histome.render.layers import class_shares
from histome.slide.maps import ClassMap

_BINS = 8  # bins along a field's side: counts are summed over bins, candidates lie two bins apart
_STRIDE = 2
_FEWEST_CELLS = 20  # a mean confidence of fewer says little
_SMALLEST_SHARE = 0.1  # of a field, for a border or for excluded tissue to be worth showing
_LARGER_PART = 0.6  # of a field, valid tissue: less shows mostly glass
_LAST_RESORT = "Most nuclei"  # only where no other rule found a field
_REACH_UM = 20.0  # a nucleus whose center lies this far outside a field can still reach into it


@dataclass(frozen=True)
class CellArrays:
    """What the report needs of the cells table as arrays of one length: um, class codes, 0-1, bool.

    Row by row those of the table (`metrics.specimen` sorts its cells): pictures look up the outlines there.
    """

    x_um: np.ndarray
    y_um: np.ndarray
    codes: np.ndarray
    confidence: np.ndarray
    abstained: np.ndarray

    @classmethod
    def of(cls, table: TableLike) -> "CellArrays":
        """Take the columns from a cells table."""
        return cls(
            table["x_um"].to_numpy(),
            table["y_um"].to_numpy(),
            class_codes(table).astype(np.int8),
            table["confidence"].to_numpy().astype(np.float64),
            table["abstained"].to_numpy().astype(bool),
        )

    @classmethod
    def none(cls) -> "CellArrays":
        """No cells at all."""
        empty = np.empty(0)
        return cls(empty, empty, empty.astype(np.int64), empty, empty.astype(bool))

    def __len__(self) -> int:
        return len(self.x_um)


@dataclass(frozen=True)
class View:
    """A rectangle of the slide worth a look: its corner and size in um, and the rule that chose it."""

    title: str
    rule: str
    x_um: float
    y_um: float
    width_um: float
    height_um: float

    def holds(self, x_um: np.ndarray, y_um: np.ndarray, margin_um: float = 0.0) -> np.ndarray:
        """Whether points lie in the field widened by a margin, bool (n,)."""
        x, y = x_um - self.x_um, y_um - self.y_um
        inside_x = (x >= -margin_um) & (x < self.width_um + margin_um)
        return inside_x & (y >= -margin_um) & (y < self.height_um + margin_um)


@dataclass(frozen=True)
class _ViewSums:
    """Sums over every candidate view: cells per class (9, r, c), confidence sums and area shares (r, c)."""

    cells: np.ndarray
    confidence: np.ndarray
    tissue: np.ndarray
    quality: np.ndarray

    @property
    def n(self) -> np.ndarray:
        return self.cells.sum(axis=0)


def choose_views(
    cells: CellArrays,
    *,
    tissue: ClassMap | None,
    quality: ClassMap | None,
    extent_um: tuple[float, float],
    side_um: float,
    rng: np.random.Generator,
) -> list[View]:
    """Return up to six views of `side_um` that do not overlap, in the order of the rules.

    A rule without a candidate (no carcinoma, no room left) gives no field. The same input gives the same
    fields; ties go to the upper, then the left one.
    """
    width, height = (min(side_um, side) for side in extent_um)
    sums = _sum_candidates(cells, tissue, quality, extent_um=extent_um, bin_um=side_um / _BINS)
    step_um, free = _STRIDE * side_um / _BINS, _inside(sums.n.shape, extent_um, side_um)
    views = []
    for title, rule, score in _rules(sums, rng):
        if title == _LAST_RESORT and views:
            continue
        score = np.where(free, score, -np.inf)
        row, column = np.unravel_index(int(np.argmax(score)), score.shape)
        if not np.isfinite(score[row, column]):
            continue
        views.append(View(title, rule, float(column * step_um), float(row * step_um), width, height))
        reach = _BINS // _STRIDE - 1
        free[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = False
    return views


def _rules(sums: _ViewSums, rng: np.random.Generator) -> Iterator[tuple[str, str, np.ndarray]]:
    """Title, rule in words, and score of every candidate (minus infinity: not one)."""
    carcinoma, lymphocytes = (sums.cells[CELL_CLASSES.index(k)] for k in ("carcinoma_cell", "lymphocyte"))
    border = np.minimum(*(sums.tissue[TISSUE_CLASSES.index(k)] for k in ("CARCINOMA", "STROMA")))
    spoiled = [QC_CLASSES.index(k) for k in ("TISSUE_ARTIFACT", "MARKER", "OUT_OF_FOCUS")]
    excluded = sums.quality[spoiled].sum(axis=0)
    mean = sums.confidence / np.maximum(sums.n, 1)
    yield "Densest carcinoma", "the most carcinoma cells", _masked(carcinoma, carcinoma > 0)
    yield "Carcinoma-stroma border", "both in equal parts", _masked(border, border >= _SMALLEST_SHARE)
    yield "Most lymphocytes", "the most lymphocytes", _masked(lymphocytes, lymphocytes > 0)
    typical = (sums.n >= _FEWEST_CELLS) & _mostly_valid(sums.quality[QC_CLASSES.index("VALID_TISSUE")])
    yield "Least confident", "the lowest mean confidence", _masked(-mean, typical)
    yield "Random", "drawn by lot with a fixed seed", _masked(rng.random(mean.shape), typical)
    yield (
        "Excluded by quality control",
        "the most pen, blur or artifact",
        _masked(excluded, excluded >= _SMALLEST_SHARE),
    )

    yield _LAST_RESORT, "the most nuclei", _masked(sums.n, sums.n > 0)


def _mostly_valid(share: np.ndarray) -> np.ndarray:
    """Candidates that valid tissue covers for the greater part, or as far as any of them is covered."""
    return share >= min(_LARGER_PART, 0.8 * float(share.max(initial=0.0)))


def _masked(score: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return np.where(allowed, score, -np.inf)


def _sum_candidates(
    cells: CellArrays,
    tissue: ClassMap | None,
    quality: ClassMap | None,
    *,
    extent_um: tuple[float, float],
    bin_um: float,
) -> _ViewSums:
    columns, rows = (max(_BINS, int(np.ceil(side / bin_um))) for side in extent_um)
    padded_um = (columns * bin_um, rows * bin_um)
    of_tissue = _box_share(tissue, padded_um, (rows, columns), len(TISSUE_CLASSES))
    of_quality = _box_share(quality, padded_um, (rows, columns), len(QC_CLASSES))
    counts, confidence = map(_box_sum, _sums_of_bins(cells, bin_um, (rows, columns)))
    return _ViewSums(counts, confidence[0], of_tissue, of_quality)


def _sums_of_bins(cells: CellArrays, bin_um: float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return cells by class (9, rows, columns) and the sum of their confidences (1, rows, columns)."""
    (rows, columns), size = shape, shape[0] * shape[1]
    row = np.clip((cells.y_um / bin_um).astype(np.int64), 0, rows - 1)
    column = np.clip((cells.x_um / bin_um).astype(np.int64), 0, columns - 1)
    row *= columns
    row += column
    del column
    confidence = np.bincount(row, weights=cells.confidence, minlength=size)
    row += cells.codes.astype(np.int64) * size
    counts = np.bincount(row, minlength=len(CELL_CLASSES) * size)
    return counts.reshape(-1, rows, columns), confidence.reshape(1, rows, columns)


def _box_share(
    class_map: ClassMap | None, extent_um: tuple[float, float], shape: tuple[int, int], n_classes: int
) -> np.ndarray:
    """Area share of each class in every candidate, 0-1."""
    if class_map is None:
        return _box_sum(np.zeros((n_classes, *shape)))
    return _box_sum(class_shares(class_map, extent_um, shape)) / _BINS**2


def _box_sum(planes: np.ndarray) -> np.ndarray:
    """Sums over fields of _BINS x _BINS bins every _STRIDE bins, (k, rows, columns)."""
    return np.stack([_box_sums(plane) for plane in planes])


def _box_sums(plane: np.ndarray) -> np.ndarray:
    total = np.pad(plane.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    b = _BINS
    sums = total[b:, b:] - total[:-b, b:] - total[b:, :-b] + total[:-b, :-b]
    return sums[::_STRIDE, ::_STRIDE]


def _inside(shape: tuple[int, int], extent_um: tuple[float, float], side_um: float) -> np.ndarray:
    """Candidates that do not stick out of the slide; the first row and column always count."""
    step_um = _STRIDE * side_um / _BINS
    columns, rows = ((np.arange(n) * step_um + side_um) for n in (shape[1], shape[0]))
    fits_x, fits_y = columns <= extent_um[0] + 1e-6, rows <= extent_um[1] + 1e-6
    fits_x[0] = fits_y[0] = True
    return fits_y[:, None] & fits_x[None, :]


def nuclei_near(view: View, cells: CellArrays) -> np.ndarray:
    """Return the rows of the cells whose outline may show in the field, int64."""
    return np.flatnonzero(view.holds(cells.x_um, cells.y_um, margin_um=_REACH_UM))
