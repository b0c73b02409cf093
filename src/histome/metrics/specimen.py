"""A specimen: cells as arrays on the tissue maps, with what several families need."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from histome.cells.table import class_codes
from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES
from histome.errors import HistomeError
from histome.geometry.kdtree import build_tree, nearest_squared
from histome.geotable import TableLike
from histome.metrics.axes import NUCLEUS_FEATURES
from histome.metrics.maps import NUCLEATED_OF_CODE, TissueMaps
from histome.metrics.results import quotient
from histome.models.label_support import Support, table_support
from histome.slide.maps import ClassMap
from histome.temporary import keeping, temporary_file

N_CELL_CLASSES = len(CELL_CLASSES)
_AXES, _ASPECT = ("major_axis_um", "minor_axis_um"), "aspect_ratio"
# More nuclei than this at exactly one position are none; each would be a neighbor of all the others.
_LARGEST_CROWD = 1000
# As a line about the disk names it.
_KEPT = "distances"

T = TypeVar("T")


class NucleusColumns(Mapping[str, NDArray[np.float64]]):
    """Nuclear features of some cells, read from the table when they are asked for.

    Kept, each would be 8 bytes a cell beside the table.
    """

    def __init__(self, table: TableLike, rows: NDArray[np.int32]) -> None:
        names = [name for name, _, _ in NUCLEUS_FEATURES.values() if name in table.column_names]
        if set(_AXES) <= set(names) and _ASPECT not in names:
            names.append(_ASPECT)
        self._table, self._rows, self._names = table, rows, names

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a feature, NaN where a cell lacks it, (n,)."""
        if name not in self._names:
            raise KeyError(name)
        if name == _ASPECT and set(_AXES) <= set(self._names):
            major, minor = (_floats(self._table, axis)[self._rows] for axis in _AXES)
            ratio = quotient(major, minor)
            return np.where(np.isfinite(ratio), ratio, np.nan)  # of lengths beyond all floats
        return _floats(self._table, name)[self._rows]

    def column(self, name: str) -> NDArray[np.float64] | None:
        """Return any column of numbers, NaN where a cell lacks it, (n,); None where there is none."""
        return _floats(self._table, name)[self._rows] if name in self._table.column_names else None

    def __iter__(self) -> Iterator[str]:
        """Return the names of the features that were measured."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many features were measured."""
        return len(self._names)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "NucleusColumns":
        """Return the features of the chosen cells, by mask or by index."""
        return NucleusColumns(self._table, self._rows[rows])


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells as arrays of length n, in an order that depends on the cells and not on the rows they came in.

    `label` indexes CELL_CLASSES; `tissue` is the code of the tissue map at the cell (0 outside); both are
    int16, a quarter of the memory of int64: products that may exceed 32,767 are taken of larger ones.
    `features` are the columns of NUCLEUS_FEATURES that were measured;
    `class_labels` says how the model learned each class, empty where that is not known.
    """

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    label: NDArray[np.integer]
    tissue: NDArray[np.integer]
    abstained: NDArray[np.bool_] | None
    features: NucleusColumns
    class_labels: Mapping[str, Support] = field(default_factory=dict)

    @property
    def confidence(self) -> NDArray[np.float64] | None:
        """Confidence of the class, 0-1, NaN where it is not known; None where no column says it."""
        return self.features.column("confidence")

    @property
    def strangeness(self) -> NDArray[np.float64] | None:
        """How far a cell lies from what the model learned; NaN where that is not known, or None."""
        return self.features.column("strangeness")

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.x_um)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Cells":
        """Return the chosen cells, by mask or by index."""
        return Cells(
            self.x_um[rows],
            self.y_um[rows],
            self.label[rows],
            self.tissue[rows],
            None if self.abstained is None else self.abstained[rows],
            self.features.select(rows),
            self.class_labels,
        )


class FiledRows(Sequence[NDArray[Any]]):
    """Arrays (n,) that wait in a temporary file and are read one by one: 8 bytes a cell in place of 72."""

    def __init__(self, rows: Iterable[NDArray[Any]]) -> None:
        self._rows: list[tuple[int, np.dtype, int]] = []
        with keeping(_KEPT):
            self._file = temporary_file(self)
            for row in rows:
                self._rows.append((self._file.tell(), row.dtype, len(row)))
                self._file.write(row.tobytes())
            self._file.flush()

    def __len__(self) -> int:
        """Return how many arrays there are."""
        return len(self._rows)

    def __getitem__(self, k: int) -> NDArray[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read one."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        start, kind, length = self._rows[k]
        with keeping(_KEPT):
            self._file.seek(start)
            return np.fromfile(self._file, kind, length)


@dataclass(frozen=True, eq=False)
class Specimen:
    """Cells on the tissue maps, and what families derive from both, each once.

    A specimen made by `select` remembers the one it came from, so that what belongs to a single cell and the
    maps is looked up there. `not_counted` is the number of cells of each class that `counted_specimen` left
    out, (9,).
    """

    maps: TissueMaps
    cells: Cells
    origin: "tuple[Specimen, NDArray[np.bool_]] | None" = None
    not_counted: NDArray[np.int64] = field(default_factory=lambda: np.zeros(N_CELL_CLASSES, np.int64))
    _derived: dict[Callable[..., Any], Any] = field(default_factory=dict)
    _for_now: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def select(self, rows: NDArray[np.bool_]) -> "Specimen":
        """Return the specimen of some of the cells, by mask, on the same maps."""
        return Specimen(self.maps, self.cells.select(rows), (self, rows), self.not_counted)

    def once(self, derive: "Callable[[Specimen], T]") -> T:
        """Return derive(specimen), computed at the first call."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return self._derived[derive]

    def for_now(self, derive: Callable[..., T], *args: Hashable) -> T:
        """Return derive(specimen, *args), computed at the first call and held until `forget`.

        For what takes several bytes a cell and is read by a few families, which stand `beside` each other.
        """
        key = (derive, *args)
        if key not in self._for_now:
            self._for_now[key] = derive(self, *args)
        return self._for_now[key]

    def forget(self) -> None:
        """Let go of what is held for now."""
        self._for_now.clear()

    def per_cell(self, derive: "Callable[[Specimen], NDArray[Any]]") -> NDArray[Any]:
        """Return derive(specimen), an array (n,) whose items depend on their own cell and the maps only.

        It is computed once and waits on disk.
        """
        if self.origin is not None:
            whole, rows = self.origin
            return whole.per_cell(derive)[rows]
        if derive not in self._derived:
            self._derived[derive] = FiledRows([derive(self)])
        return self._derived[derive][0]

    @cached_property
    def nucleated(self) -> NDArray[np.int16]:
        """Index of each cell's tissue in NUCLEATED_TISSUES, -1 elsewhere, (n,)."""
        return NUCLEATED_OF_CODE.astype(np.int16)[self.cells.tissue]

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """Number of cells of each class, (9,)."""
        return np.bincount(self.cells.label, minlength=N_CELL_CLASSES)

    @cached_property
    def tissue_counts(self) -> NDArray[np.int64]:
        """Number of cells per class and nucleated tissue, (9, 5)."""
        return cross_count(self.cells.label, self.nucleated, (N_CELL_CLASSES, len(NUCLEATED_TISSUES)))

    @cached_property
    def zone(self) -> NDArray[np.int16]:
        """Code of the zone of each cell, 0 outside the analyzed tissue, (n,)."""
        return self.per_cell(_zone_of_cells)

    @cached_property
    def zone_counts(self) -> NDArray[np.int64]:
        """Number of cells of each class in each zone, (9, 5); the last zone is the whole tumor region."""
        four = cross_count(self.cells.label, self.zone - 1, (N_CELL_CLASSES, 4))
        return np.column_stack([four, four[:, 0] + four[:, 1]])

    @cached_property
    def in_tumor_region(self) -> NDArray[np.bool_]:
        """Whether each cell lies in the whole tumor region: its core or its inner margin, (n,)."""
        return (self.zone == 1) | (self.zone == 2)

    @property
    def nearest_squared(self) -> "FiledRows":
        """Squared distance in um2 from every cell to the nearest other of each class, 9 of (n,), or inf."""
        return self.for_now(_nearest_of_each_class)


def counted_specimen(maps: TissueMaps, cells: Cells) -> Specimen:
    """Return the specimen of the cells in nucleated tissue: those anywhere else are only numbered.

    What lies in necrosis and blood is debris and red cells, or nuclei where the tissue map errs.
    """
    counted = NUCLEATED_OF_CODE[cells.tissue] >= 0
    left_out = np.bincount(cells.label[~counted], minlength=N_CELL_CLASSES)
    return Specimen(maps, cells.select(counted), not_counted=left_out)


def _nearest_of_each_class(specimen: Specimen) -> FiledRows:
    """Find the nearest other cell of each class, see `Specimen.nearest_squared`."""
    return FiledRows(_nearest_of_class(specimen, k) for k in range(N_CELL_CLASSES))


def _nearest_of_class(specimen: Specimen, label: int) -> NDArray[np.float64]:
    cells = specimen.cells
    rows = np.flatnonzero(cells.label == label)
    own = np.full(len(cells), -1, np.int64)
    own[rows] = np.arange(len(rows))
    tree = build_tree(cells.x_um[rows], cells.y_um[rows])
    return nearest_squared(tree, cells.x_um, cells.y_um, own, workers=specimen.maps.workers)


def _zone_of_cells(specimen: Specimen) -> NDArray[np.int16]:
    """Look up the zone of each cell."""
    rows, columns, inside = specimen.maps.pixel_of(specimen.cells.x_um, specimen.cells.y_um)
    if not inside.any():
        return np.zeros(len(specimen.cells), np.int16)
    return np.where(inside, specimen.maps.zones.array[rows, columns], 0).astype(np.int16)


def cross_count(a: NDArray[np.integer], b: NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Count the pairs (a, b); rows with a negative code count nowhere."""
    known = (a >= 0) & (b >= 0)
    return np.bincount(
        a[known].astype(np.int64) * shape[1] + b[known], minlength=shape[0] * shape[1]
    ).reshape(shape)


def cells_as_arrays(table: TableLike, tissue: ClassMap) -> Cells:
    """Return a cells table as arrays; the tissue of each cell is read from the map.

    Needs x_um, y_um and class; takes confidence, abstained and the nuclear features where they are.
    Raises HistomeError for missing columns, unknown classes, coordinates that are not finite, and more than
    1,000 cells at one position.
    """
    missing = [name for name in ("x_um", "y_um", "class") if name not in table.column_names]
    if missing:
        raise HistomeError(f"the cells table has no column {', '.join(missing)}.")
    x_um, y_um = _finite(table, "x_um"), _finite(table, "y_um")
    columns = NucleusColumns(table, np.arange(len(x_um), dtype=np.int32))
    cells = Cells(
        x_um,
        y_um,
        _labels(table),
        tissue.at(x_um, y_um).astype(np.int16),
        _booleans(table, "abstained") if "abstained" in table.column_names else None,
        columns,
        table_support(table.schema),
    )
    # Sums of floats depend on their order: a canonical one makes every metric independent of the rows' order.
    area = columns.get("area_um2", np.zeros(len(x_um)))
    cells = cells.select(np.lexsort((area, cells.label, x_um, y_um)))
    _refuse_crowds(cells)
    pa.default_memory_pool().release_unused()  # what reading left: 50 MB of 1.6 million cells
    return cells


def _refuse_crowds(cells: Cells) -> None:
    """Refuse many cells at one place: what missing positions look like when they were filled in."""
    same = (np.diff(cells.x_um) == 0) & (np.diff(cells.y_um) == 0)
    ends = np.flatnonzero(~np.append(same, False))
    crowd = np.diff(ends, prepend=-1)
    if len(crowd) and crowd.max() > _LARGEST_CROWD:
        row = ends[crowd.argmax()]
        raise HistomeError(
            f"cells: {crowd.max():,} cells lie at x {cells.x_um[row]:g}, y {cells.y_um[row]:g} um; "
            "that is no position: remove them."
        )


def _floats(table: TableLike, name: str) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for nulls."""
    column = pc.cast(table[name], pa.float64())
    return np.ascontiguousarray(pc.fill_null(column, np.nan).to_numpy(), np.float64)


def _finite(table: TableLike, name: str) -> NDArray[np.float64]:
    """Return a coordinate column; raises HistomeError that names the first row without a finite value."""
    column = _floats(table, name)
    bad = np.flatnonzero(~np.isfinite(column))
    if len(bad):
        raise HistomeError(
            f"cells: {name} of row {bad[0] + 1} is not a finite number ({len(bad)} such rows); remove them."
        )
    return column


def _booleans(table: TableLike, name: str) -> NDArray[np.bool_]:
    """Return a column as bool, null as False."""
    return pc.fill_null(pc.cast(table[name], pa.bool_()), False).to_numpy().astype(bool)


def _labels(table: TableLike) -> NDArray[np.int16]:
    """Return class codes; raises HistomeError that lists every class that is not one of the nine."""
    codes = class_codes(table)
    if (codes < 0).any():
        unknown = table["class"].filter(pa.array(codes < 0)).cast(pa.string()).unique().to_pylist()
        raise HistomeError(
            f"cells: unknown class {', '.join(map(repr, unknown))}; map them to {', '.join(CELL_CLASSES)}."
        )
    return codes.astype(np.int16)
