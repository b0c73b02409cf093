"""The cells table: its schema, declared once, and its GeoParquet file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from histome.cells.familiarity import strangeness, surroundings
from histome.cells.filed import FoundNuclei, row_groups
from histome.cells.given import GivenNuclei
from histome.cells.pixels import Stains
from histome.cells.rows import GEOMETRY, CellRows
from histome.cells.shape import NuclearShapes
from histome.cells.stored import kept_digits, placed
from histome.cells.windows import CellSearch, Located, Nuclei, signs_of
from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, UNDECIDED_CELLS
from histome.config import CellsConfig
from histome.geometry.distance import distance_to_codes
from histome.geometry.grid import neighbor_counts
from histome.geotable import (
    Column,
    TableLike,
    described,
    geo_schema,
    geo_table,
    read_geo_table,
    schema_metadata,
    write_geo_parts,
    write_geo_table,
)
from histome.models.label_support import support_metadata, unscored_classes
from histome.slide import ClassMap
from histome.tissue.zones import ZONE_CLASSES

NEIGHBOR_RADII_UM = (20, 40)

_NAMES = pa.dictionary(pa.int8(), pa.string())
_SHAPE_UNITS = {
    "area_um2": ("um2", "area of the outline"),
    "perimeter_um": ("um", "length of the outline"),
    "major_axis_um": ("um", "long full axis of the ellipse with the outline's second moments"),
    "minor_axis_um": ("um", "short full axis of that ellipse"),
    "roundness": ("1", "4 pi area / perimeter^2, 0-1"),
    "eccentricity": ("1", "of that ellipse, sqrt(1 - (minor / major)^2), 0-1"),
    "solidity": ("1", "area / area of the convex hull, 0-1"),
}
_STAIN_UNITS = {
    "hematoxylin_od_mean": (
        "OD",
        "mean hematoxylin optical density of its pixels; depends on stain and scanner",
    ),
    "hematoxylin_od_sd": ("OD", "standard deviation of it over the pixels"),
    "eosin_od_mean": ("OD", "mean eosin optical density of its pixels; depends on stain and scanner"),
}


def _field(name: str, kind: pa.DataType, unit: str, description: str) -> pa.Field:
    null = name in ("zone", "strangeness", "distance_to_carcinoma_um", *_STAIN_UNITS)
    return described(name, kind, unit, description, null=null)


def _neighbor_fields() -> list[pa.Field]:
    return [
        _field(
            f"n_{name}_{radius}um",
            pa.uint16(),
            "1",
            f"counted cells of class {name} within {radius} um, itself excluded",
        )
        for radius in NEIGHBOR_RADII_UM
        for name in CELL_CLASSES
    ]


SCHEMA = geo_schema(
    [
        _field("cell_id", pa.int64(), "1", "1.. by y, then x"),
        _field(
            "x", pa.float64(), "px", "centroid of the outline, level-0 px, right of the slide's left edge"
        ),
        _field("y", pa.float64(), "px", "centroid of the outline, level-0 px, below the slide's upper edge"),
        _field("x_um", pa.float64(), "um", "x times the slide's um per px, in whole 1/256 um as x in px"),
        _field("y_um", pa.float64(), "um", "y times the slide's um per px, in whole 1/256 um as y in px"),
        _field("class", _NAMES, "", "class with the largest probability"),
        _field("confidence", pa.float32(), "1", "that probability, calibrated, 0-1"),
        *(
            _field(f"p_{name}", pa.float32(), "1", f"calibrated probability of {name}, 0-1")
            for name in CELL_CLASSES
        ),
        _field(
            "reported",
            _NAMES,
            "",
            "the class; where the model has no held-out score of it, what it is sure of: "
            f"{', '.join(UNDECIDED_CELLS)}",
        ),
        _field(
            "strangeness",
            pa.float32(),
            "1",
            "how far the cells around lie from what the model learned, 1 at its limit; null where the model "
            "cannot tell",
        ),
        _field(
            "abstained",
            pa.bool_(),
            "",
            "whether the confidence is under the model's threshold, or the strangeness over 1",
        ),
        _field("tissue", _NAMES, "", "tissue class at the centroid"),
        _field(
            "counted", pa.bool_(), "", "whether that tissue holds nuclei; metrics are of such cells alone"
        ),
        _field("zone", _NAMES, "", "zone round the tumor at the centroid; null where none"),
        *(_field(name, pa.float32(), *about) for name, about in (_SHAPE_UNITS | _STAIN_UNITS).items()),
        *_neighbor_fields(),
        _field(
            "distance_to_carcinoma_um",
            pa.float32(),
            "um",
            "from the centroid's tissue pixel to the nearest of carcinoma, 0 inside; null without carcinoma",
        ),
    ],
    edge=pa.float32(),  # corners lie on fractions of a px that are powers of two
    shape="outline with as few corners as keep it within some 0.1 um, its area kept, a polygon",
)

_NAMED_BY_FILE = (
    described("given_id", pa.string(), "", "id of the nucleus in the file that it was read from", null=True),
    described("given_class", pa.string(), "", "class of the nucleus in that file, in its words", null=True),
)
# Columns that metrics read; the others are for people and other programs.
MEASURED = (
    *("x_um", "y_um", "class", "confidence", "strangeness", "abstained", "counted"),
    *_SHAPE_UNITS,
    *_STAIN_UNITS,
)

# Of nuclei that were read from a file: what it says of each, and no shape where it gave a point.
GIVEN_SCHEMA = pa.schema(
    [
        *(field.with_nullable(field.nullable or field.name in _SHAPE_UNITS) for field in list(SCHEMA)[:-2]),
        *_NAMED_BY_FILE,
        *list(SCHEMA)[-2:],
    ]
)


def cell_rows(
    found: FoundNuclei, search: CellSearch, zones: ClassMap, config: CellsConfig, *, workers: int = 1
) -> CellRows:
    """Return the cells table of `SCHEMA`, ordered by y, then x, with GeoParquet 1.1 metadata.

    Its metadata hold how the model learned each class, too: see `models.label_support`. Digits and corners
    are those of `cells.stored`; counts of neighbors and zone follow from what is stored, strangeness and
    abstentions from what was before. Memory holds 0.2 kB a cell, for slides of millions.
    Every value follows from the nuclei, the tissue and zone maps and the card: equal input gives equal bytes.
    """
    zone = _zone_of(found.located, zones)
    del zones  # where nobody else holds them, memory does not either
    whole = _of_all(found.located, zone, found.parts(), search, config, workers=workers)
    file = found.file
    rows, schema = found.rows[whole.order], pa.schema([field for field in SCHEMA if field.name != GEOMETRY])
    groups = row_groups(len(rows))
    boxes = [_box_of(file.bounds(rows[part])) for part in groups if len(rows)]
    metadata = schema_metadata(np.array(boxes)) | support_metadata(search.network.card)
    parts = (
        _geo_table(
            _columns(file.nuclei(rows[part]), whole, part, search, config=config),
            file.bounds(rows[part]),
            schema,
            search,
        )
        for part in groups
    )
    return CellRows(parts, SCHEMA.with_metadata(metadata), file, rows)


def _box_of(bounds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bounds of all bounds, (4,)."""
    return np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])


def given_cells_table(
    nuclei: Nuclei,
    search: CellSearch,
    zones: ClassMap,
    config: CellsConfig,
    *,
    given: GivenNuclei,
    workers: int = 1,
) -> pa.Table:
    """Return the same of nuclei that were read from a file, of `GIVEN_SCHEMA`, with outlines as given."""
    located = Located.of(nuclei)
    whole = _of_all(located, _zone_of(located, zones), iter([nuclei]), search, config, workers=workers)
    columns = _columns(nuclei.select(whole.order), whole, slice(None), search, config=config)
    given = given.select(whole.order)
    columns |= {"given_id": given.ids, "given_class": given.labels}
    columns |= {"geometry": shapely.to_wkb(given.outlines)}
    return _geo_table(columns, shapely.bounds(given.outlines), GIVEN_SCHEMA, search)


def _geo_table(
    columns: dict[str, Column], bounds: NDArray[np.floating], schema: pa.Schema, search: CellSearch
) -> pa.Table:
    support = support_metadata(search.network.card)
    return geo_table(columns, bounds, schema, slide=search.slide.id, metadata=support)


class _OfAll(NamedTuple):
    """What follows from all nuclei together, by the rows of the table."""

    order: NDArray[np.int64]
    zone: NDArray[np.uint8]
    strange: NDArray[np.float64]
    unsure: NDArray[np.bool_]
    neighbors: NDArray[np.uint16]
    carcinoma_um: NDArray[np.float64]


def _of_all(
    located: Located,
    zone: NDArray[np.uint8],
    parts: Iterator[Nuclei],
    search: CellSearch,
    config: CellsConfig,
    *,
    workers: int,
) -> _OfAll:
    """Return that, and which nucleus is in which row; `parts` are all nuclei, in order, `zone` is of each."""
    strange = _strangeness(located, parts, search)
    unsure = (located.confidence < _abstain_below(search, config)) | (strange > 1)
    x_um, y_um = placed(located.x_um), placed(located.y_um)
    order = np.lexsort((located.window, x_um, y_um))
    x_um, y_um, tissue = x_um[order], y_um[order], search.tissue
    # Rounding leaves the most probable class as it is.
    labels = np.where(_counted(located.tissue, tissue), located.label.astype(np.int8), -1)[order]
    neighbors = neighbor_counts(x_um, y_um, labels, radii_um=NEIGHBOR_RADII_UM, workers=workers)
    carcinoma_um = carcinoma_distance(x_um, y_um, tissue, workers=workers)
    return _OfAll(order, zone[order], strange[order], unsure[order], neighbors, carcinoma_um)


def _zone_of(located: Located, zones: ClassMap) -> NDArray[np.uint8]:
    """Return the zone of each nucleus, by where the table says that it is."""
    zones = zones.in_memory()
    places = (
        (placed(located.x_um[part]), placed(located.y_um[part])) for part in row_groups(len(located.label))
    )
    return np.concatenate([zones.at(x_um, y_um) for x_um, y_um in places])


def _columns(
    nuclei: Nuclei, whole: _OfAll, part: slice, search: CellSearch, *, config: CellsConfig
) -> dict[str, Column]:
    """Return the columns of some rows; the nuclei are theirs."""
    nuclei = kept_digits(nuclei)
    first = part.start or 0
    columns: dict[str, Column] = {"cell_id": np.arange(first + 1, first + len(nuclei.score) + 1)}
    columns |= _place(nuclei, search) | _class(nuclei, search, config)
    columns["zone"] = _named(whole.zone[part], ZONE_CLASSES)
    columns |= {"strangeness": whole.strange[part], "abstained": whole.unsure[part]}
    shapes, stains = NuclearShapes._fields[2:], Stains._fields
    columns |= dict(zip(shapes, nuclei.shape.T[2:], strict=True)) | dict(
        zip(stains, nuclei.stain.T, strict=True)
    )
    columns |= {
        f"n_{name}_{radius}um": whole.neighbors[part, r, k]
        for r, radius in enumerate(NEIGHBOR_RADII_UM)
        for k, name in enumerate(CELL_CLASSES)
    }
    return columns | {"distance_to_carcinoma_um": whole.carcinoma_um[part]}


def class_codes(table: TableLike) -> NDArray[np.int64]:
    """Return the place in CELL_CLASSES of each cell's class, (n,) int64; -1 for a null or another name."""
    names = table["class"].combine_chunks().cast(pa.string())
    codes = pc.call_function("index_in", [names], pc.SetLookupOptions(pa.array(CELL_CLASSES)))
    return pc.fill_null(codes, -1).to_numpy().astype(np.int64)


def counted_cells(table: pa.Table) -> pa.Table:
    """Return the rows of a cells table that count; all of them where no column says which."""
    return table.filter(table["counted"]) if "counted" in table.column_names else table


def write_cells(cells: pa.Table | CellRows, path: Path | str) -> None:
    """Write a cells table as GeoParquet; equal tables give equal bytes."""
    if isinstance(cells, pa.Table):
        write_geo_table(cells, path)
    else:
        write_geo_parts(cells.parts(), path)


def read_cells(path: Path | str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read what `write_cells` wrote, or some columns of it; raises HistomeError for any other file."""
    return read_geo_table(path, SCHEMA, columns=columns)


def read_outlines(path: Path | str, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return the outlines (WKB, level-0 px) of some rows, ascending, of a file that `write_cells` wrote."""
    found: list[bytes] = []
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            here = rows[(rows >= first) & (rows < end)] - first
            if len(here):
                column = file.read_row_group(group, columns=[GEOMETRY])[GEOMETRY]
                found += column.take(pa.array(here)).to_pylist()
            first = end
    return np.array(found, object)


def _place(nuclei: Nuclei, search: CellSearch) -> dict[str, Column]:
    mpp = search.slide.mpp
    x_um, y_um = nuclei.shape[:, 0], nuclei.shape[:, 1]
    return {
        "x": placed(x_um / mpp.x),
        "y": placed(y_um / mpp.y),
        "x_um": x_um,
        "y_um": y_um,
        "tissue": _named(nuclei.tissue, search.tissue.classes),
        "counted": _counted(nuclei.tissue, search.tissue),
    }


def _counted(codes: NDArray[np.uint8], tissue: ClassMap) -> NDArray[np.bool_]:
    """Whether codes of the tissue map are of tissues that hold nuclei of their own."""
    return np.isin(codes, [tissue.code(name) for name in NUCLEATED_TISSUES])


def _abstain_below(search: CellSearch, config: CellsConfig) -> float:
    limit = search.network.card.thresholds.abstain
    return limit if config.abstain_below is None else config.abstain_below


def _class(nuclei: Nuclei, search: CellSearch, config: CellsConfig) -> dict[str, Column]:
    confidence = nuclei.probability.max(axis=1, initial=0)
    label = nuclei.probability.argmax(axis=1) + 1
    return {
        "class": _named(label, CELL_CLASSES),
        "confidence": confidence,
        "reported": _reported(label, search, config),
        **{f"p_{name}": nuclei.probability[:, k] for k, name in enumerate(CELL_CLASSES)},
    }


def _strangeness(located: Located, parts: Iterator[Nuclei], search: CellSearch) -> NDArray[np.float64]:
    """Return how strange the cells around each are; NaN where the card does not say what is known."""
    known = search.network.card.familiarity
    if known is None:
        return np.full(len(located.label), np.nan)
    found, block = surroundings(located.x_um, located.y_um, map(signs_of, parts))
    return strangeness(found, known)[block]


def _reported(label: NDArray, search: CellSearch, config: CellsConfig) -> pa.DictionaryArray:
    """Name classes, codes 1..; a group of them in place of one without a held-out score."""
    names = (*CELL_CLASSES, *UNDECIDED_CELLS)
    codes = np.arange(len(CELL_CLASSES) + 1)
    unscored = () if config.report_unscored else unscored_classes(search.network.card)
    for place, members in enumerate(UNDECIDED_CELLS.values(), start=len(CELL_CLASSES) + 1):
        for name in set(unscored) & set(members):
            codes[CELL_CLASSES.index(name) + 1] = place
    return _named(codes[label], names)


def carcinoma_distance(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], tissue: ClassMap, *, workers: int = 1
) -> NDArray[np.float64]:
    """Return the um from each point's pixel of the map to the nearest carcinoma pixel; NaN without carcinoma.

    Between pixel centers, so 0 in carcinoma and at least one pixel outside. Points lie in the map.
    """
    columns, rows = (
        np.floor(at / tissue.mpp).astype(np.int64) - start
        for at, start in zip((x_um, y_um), tissue.origin_px, strict=True)
    )
    chosen = np.arange(len(tissue.classes) + 1) == tissue.code("CARCINOMA")
    distance = distance_to_codes(tissue.array, chosen, workers=workers).at(rows, columns) * tissue.mpp
    return np.where(np.isfinite(distance), distance, np.nan)


def _named(codes: NDArray, names: tuple[str, ...]) -> pa.DictionaryArray:
    """Codes 1.. as names, 0 as null."""
    indices = pa.array(codes.astype(np.int16) - 1, pa.int8(), mask=codes == 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names))
