"""Features, labels and tokens of every square tile of a slide: one row a tile."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import csv

from histome.cells.table import counted_cells
from histome.errors import UsageError
from histome.geotable import TableLike
from histome.metrics.subregions import tile_size_um
from histome.phenotype.axes import Phenotypes, phenotypes, phenotypes_of
from histome.phenotype.features import PatchCells, measure_cells
from histome.phenotype.patch import UNSEEN, pannuke_cells
from histome.phenotype.tokens import interpret
from histome.store.disk import writing
from histome.store.profile import load_profile

_LEFT_OUT = "cells_left_out"


def _schema() -> pa.Schema:
    """Place, raw data, labels, tokens; names and kinds of the raw data are those of an empty patch."""
    empty = np.empty(0)
    of_no_cells = measure_cells(PatchCells(empty, empty, empty, empty.astype(np.int64)), unit="um")
    raw = [name for name in of_no_cells if name != "undefined"]
    return pa.schema(
        [
            *(pa.field(name, pa.float64(), nullable=False) for name in ("x_um", "y_um", "size_um")),
            *(pa.field(name, pa.int64() if "count" in name else pa.float64()) for name in raw),
            *(pa.field(name, pa.string()) for name in phenotypes().axes),
            pa.field("generated_tokens", pa.list_(pa.string())),
            pa.field("undefined", pa.string()),
        ]
    )


def tile_phenotypes(cells: TableLike, size_um: float, *, known: Phenotypes | None = None) -> pa.Table:
    """Return the phenotype of each tile of `size_um` that holds cells, by y, then x.

    Tiles lie from the slide's corner on; a cell belongs to the tile of its center. A tile's values are those
    of `measure_cells` for its cells alone, in um: nothing beyond its border counts. Cells of the class other
    belong to none of the six classes and are left out, and so are cells that are not counted (in necrosis or
    blood). A tile of fewer than 20 cells has values but no labels, and no label that rests on a class with
    fewer.

    Parameters
    ----------
    cells : pa.Table
        A cells table with x_um, y_um, class and area_um2.
    known : Phenotypes or None
        Limits, labels and tokens; None for the shipped ones.

    Returns
    -------
    pa.Table
        One row a tile: x_um, y_um (its corner), size_um, the names of `features.patch_features`, a column of
        labels for each axis, generated_tokens, and undefined (JSON, name or axis -> why it is null). Its
        schema's metadata say `cells_left_out`, the cells of class other on the whole slide.
    """
    if "counted" in cells.column_names:
        named = ("x_um", "y_um", "class", "area_um2", "counted")
        cells = counted_cells(cells.select([name for name in named if name in cells.column_names]))
    found, left_out = pannuke_cells(cells)
    known = known or phenotypes()
    rows = [
        {"x_um": column * size_um, "y_um": row * size_um, "size_um": size_um}
        | _row(found.select(inside), known)
        for row, column, inside in _tiles(found, size_um)
    ]
    told = {_LEFT_OUT: str(len(left_out.code))}
    return pa.Table.from_pylist(rows, schema=_schema().with_metadata(told))


def left_out_of(tiles: pa.Table) -> int:
    """Return how many nuclei of class other a slide's tiles left out."""
    return int((tiles.schema.metadata or {}).get(_LEFT_OUT.encode(), 0))


def tiles_line(tiles: pa.Table, size: str) -> str:
    """Return one line on a slide's tiles: how many, how many have no labels, what was left out."""
    fewest, others = phenotypes().fewest_cells, left_out_of(tiles)
    few = np.count_nonzero(tiles["total_cell_count"].to_numpy() < fewest)
    parts = [f"{len(tiles):,} {'tile' if len(tiles) == 1 else 'tiles'} of {size}"]
    if few:
        parts.append(f"{few:,} with fewer than {fewest} cells and so without labels")
    if others:
        parts.append(f"{others:,} {'nucleus' if others == 1 else 'nuclei'} of the class other left out")
    return "; ".join(parts)


def _tiles(cells: PatchCells, size_um: float) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield row, column and the cells of each tile with cells."""
    if not len(cells.x):
        return
    row, column = (np.floor(at / size_um).astype(np.int64) for at in (cells.y, cells.x))
    first, across = int(column.min()), int(np.ptp(column)) + 1
    tile = row * across + (column - first)
    del row, column
    order = np.argsort(tile, kind="stable")
    for inside in np.split(order, np.flatnonzero(np.diff(tile[order])) + 1):
        row_of, column_of = divmod(int(tile[inside[0]]), across)
        yield row_of, column_of + first, inside


def _row(cells: PatchCells, known: Phenotypes) -> dict[str, Any]:
    raw = measure_cells(cells, unit="um", unseen=UNSEEN)
    meaning = interpret(raw, unit="um", fewest_cells=known.fewest_cells, known=known)
    return {
        **raw,
        **meaning.labels,
        "generated_tokens": meaning.tokens,
        "undefined": json.dumps(raw["undefined"] | meaning.undefined),
    }


def write_profile_tiles(
    folder: str | Path, out: str | Path, *, tiles: str, cuts: Path | None = None
) -> pa.Table:
    """Write `tile_phenotypes` of a finished profile's cells to `out`, a .parquet or .csv file; return it.

    Parameters
    ----------
    tiles : str
        Side of a tile, such as "500um".
    cuts : Path or None
        A user's TOML of limits, see `axes.CutsFile`.

    Raises
    ------
    UsageError
        Another size or ending; a file of limits that is none.
    OutputError
        The folder has no cells, or `out` cannot be written.
    """
    out, size_um = Path(out), tile_size_um(tiles)
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"{out}: name a file that ends in .parquet or .csv")
    table = tile_phenotypes(load_profile(folder).cells, size_um, known=phenotypes_of(cuts))
    partial = out.with_name(f".{out.name}.partial")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(table, partial, as_csv=out.suffix.lower() == ".csv")
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    return table


def _write(table: pa.Table, path: Path, *, as_csv: bool) -> None:
    if as_csv:
        place = table.schema.get_field_index("generated_tokens")
        joined = pc.call_function("binary_join", [table["generated_tokens"], pa.scalar("; ")])
        csv.write_csv(table.set_column(place, "generated_tokens", joined), path)
    else:
        pq.write_table(table, path, compression="zstd")
