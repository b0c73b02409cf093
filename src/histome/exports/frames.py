"""A profile's tables for data frames: pandas, polars, geopandas; CSV; GeoParquet in px or um."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from histome.errors import UsageError
from histome.exports.extra import needed
from histome.exports.place import place_of, write_place
from histome.geotable import write_geo_table
from histome.names import spreadsheet_text
from histome.store.profile import Profile
from histome.tissue.regions import find_regions

if TYPE_CHECKING:
    import geopandas
    import pandas
    import polars

# Columns whose texts are names that people and other programs gave.
_FROM_OUTSIDE = {"slide", "given_id", "given_class"}
PLACE_KEY = b"histome.place"


def tables_of(profile: Profile) -> Mapping[str, pa.Table]:
    """Return the tables by name: cells, tissue, quality (regions of the class maps) and metrics."""
    return {
        "cells": profile.cells,
        "tissue": profile.tissue.regions,
        "quality": find_regions(profile.quality.map),
        "metrics": profile.metrics,
    }


def _table(profile: Profile, name: str) -> pa.Table:
    tables = {"cells": lambda: profile.cells, "metrics": lambda: profile.metrics}
    if name in tables:
        return tables[name]()
    found = tables_of(profile)
    if name not in found:
        raise UsageError(f"no table {name!r}; choose from {', '.join(found)}")
    return found[name]


def to_pandas(profile: Profile, table: str = "cells") -> "pandas.DataFrame":
    """Return a table as pandas, without geometry; classes are categories."""
    needed("pandas", "exports")
    return _flat(_table(profile, table)).to_pandas()


def to_polars(profile: Profile, table: str = "cells") -> "polars.DataFrame":
    """Return a table as polars, without geometry."""
    frame: Any = needed("polars", "exports").from_arrow(_flat(_table(profile, table)))
    return frame


def to_geopandas(profile: Profile, table: str = "cells", *, unit: str = "px") -> "geopandas.GeoDataFrame":
    """Return cells, tissue or quality as geopandas, outlines in level-0 px or um ("px", "um").

    `frame.attrs["histome"]` says the slide, its mpp and the affine from px to um.
    """
    geopandas: Any = needed("geopandas", "exports")
    if unit not in ("px", "um"):
        raise UsageError(f"no unit {unit!r}; choose px or um")
    place, found = place_of(profile), _table(profile, table)
    if "geometry" not in found.column_names:
        raise UsageError(f"the table {table!r} has no outlines; choose cells, tissue or quality")
    outlines = geopandas.GeoSeries.from_wkb(found["geometry"].to_pandas())
    if unit == "um":
        outlines = outlines.scale(*place.mpp, origin=(0, 0))
    frame = geopandas.GeoDataFrame(_flat(found).to_pandas(), geometry=outlines)
    frame.attrs["histome"] = place.told() | {"unit": unit}
    return frame


def _flat(table: pa.Table) -> pa.Table:
    """Return a table without its outlines and their boxes."""
    return table.drop_columns([name for name in ("bbox", "geometry") if name in table.column_names])


def write_csv(profile: Profile, folder: Path) -> None:
    """Write cells.csv, tissue.csv, quality.csv and metrics.csv, and what their columns and place are."""
    folder.mkdir(parents=True)
    columns = {"table": [], "column": [], "unit": [], "description": []}
    for name, table in tables_of(profile).items():
        flat = _plain(_flat(table))
        pa_csv.write_csv(flat, folder / f"{name}.csv")
        for field in flat.schema:
            about = field.metadata or {}
            told = (
                name,
                field.name,
                about.get(b"unit", b"").decode(),
                about.get(b"description", b"").decode(),
            )
            for values, text in zip(columns.values(), told, strict=True):
                values.append(text)
    pa_csv.write_csv(pa.table(columns), folder / "columns.csv")
    write_place(place_of(profile), folder / "place.json")


def _plain(table: pa.Table) -> pa.Table:
    """Return a table whose classes are texts, for CSV knows no dictionaries, and none of them a formula."""
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            text = pa.field(field.name, pa.string(), metadata=field.metadata)
            table = table.set_column(number, text, table[field.name].cast(pa.string()))
    for name in _FROM_OUTSIDE & {*table.column_names}:
        place, texts = table.schema.get_field_index(name), table[name].combine_chunks().dictionary_encode()
        fit = [None if text is None else spreadsheet_text(text) for text in texts.dictionary.to_pylist()]
        column = pa.array(fit, pa.string()).take(texts.indices)
        table = table.set_column(place, table.schema.field(place), column)
    return table


def write_geoparquet(profile: Profile, folder: Path) -> None:
    """Write cells.parquet, tissue.parquet and quality.parquet, in level-0 px, with the affine to um.

    It stands in each file's metadata under `histome.place`, and in place.json.
    """
    folder.mkdir(parents=True)
    place = place_of(profile)
    told = {PLACE_KEY: json.dumps(place.told()).encode()}
    for name, table in tables_of(profile).items():
        if "geometry" in table.column_names:
            marked = table.replace_schema_metadata({**(table.schema.metadata or {}), **told})
            write_geo_table(marked, folder / f"{name}.parquet")
    write_place(place, folder / "place.json")
