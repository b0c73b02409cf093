"""The twelve files that published H&E readouts consist of, under the same names, with the same columns."""

import csv
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from histome.cells.table import write_cells
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.colors import MAP_COLORS
from histome.exports.place import Place, class_name, place_of, write_place
from histome.exports.qupath import region_features, write_features
from histome.geotable import write_geo_table
from histome.metrics.catalogue import list_metrics
from histome.names import spreadsheet_text
from histome.slide import ClassMap
from histome.store.profile import Profile
from histome.tissue.regions import find_regions

NOTICE = "# For Research Use Only"
NO_VALUE = "N/A"
_BEFORE = ("SLIDE_UUID", "SLIDE_NAME", "IMAGE_RESOLUTION")
# A text among the numbers, before this one.
_CLASSES, _CLASSES_BEFORE = "CELL_CLASSES", "CELL_N_TOTAL"


def write_atlas(profile: Profile, folder: Path) -> None:
    """Write the folders tissue_qc, tissue_segmentation, cell_classification and readout_generation.

    Coordinates are level-0 px, lengths um; `place.json` beside them has the affine.
    """
    place = place_of(profile)
    quality = find_regions(profile.quality.map)
    _write_layer(folder / "tissue_qc", profile.quality.map, quality)
    _write_layer(folder / "tissue_segmentation", profile.tissue.map, profile.tissue.regions)
    for name, layer in (("tissue_qc", "quality"), ("tissue_segmentation", "tissue")):
        write_features(
            folder / name / "geojson_polygons.json", place, list(region_features(profile, place, layer))
        )
    cells = folder / "cell_classification"
    cells.mkdir()
    with profile.cells_file() as file:
        write_features(cells / "geojson_polygons.json", place, [], file)
    write_cells(profile.cells, cells / "parquet_polygons.parquet")
    readouts = folder / "readout_generation"
    readouts.mkdir()
    _write_csv(readouts / "cell_readouts.csv", [_CELL_HEAD, *_cell_rows(profile.cells)])
    _write_csv(readouts / "slide_readouts.csv", [readout_columns(), _slide_row(profile, place)])
    write_place(place, folder / "place.json")


def readout_columns() -> list[str]:
    """Return the columns of slide_readouts.csv: the slide, then the core numbers in their published order."""
    names = [metric.name for metric in list_metrics(["core"])]
    at = names.index(_CLASSES_BEFORE)
    return [*_BEFORE, *names[:at], _CLASSES, *names[at:]]


def _slide_row(profile: Profile, place: Place) -> Iterator[str]:
    values = dict(zip(profile.metrics["name"].to_pylist(), profile.metrics["value"].to_pylist(), strict=True))
    about: dict[str, Any] = {
        "SLIDE_UUID": uuid.uuid5(uuid.NAMESPACE_OID, place.fingerprint),
        "SLIDE_NAME": spreadsheet_text(place.slide),
        "IMAGE_RESOLUTION": place.mpp[0],
        _CLASSES: ", ".join(map(class_name, CELL_CLASSES)),
    }
    for name in readout_columns():
        value = about.get(name, values.get(name))
        yield NO_VALUE if value is None else repr(value) if isinstance(value, float) else str(value)


_CELL_HEAD = (
    *("CELL_ID", "CELL_CLASS", "X", "Y", "NUCLEUS_AREA", "NUCLEUS_ROUNDNESS"),
    *(f"IN_{name}" for name in TISSUE_CLASSES),
)


def _cell_rows(cells: pa.Table) -> Iterator[tuple[Any, ...]]:
    names = ("cell_id", "class", "x", "y", "area_um2", "roundness", "tissue")
    for row in zip(*(cells[name].to_pylist() for name in names), strict=True):
        number, kind, x, y, area, roundness, tissue = row
        inside = (tissue == name for name in TISSUE_CLASSES)
        yield number, class_name(kind), f"{x:.2f}", f"{y:.2f}", f"{area:.6g}", f"{roundness:.6g}", *inside


def _write_layer(folder: Path, drawn: ClassMap, regions: pa.Table) -> None:
    folder.mkdir(parents=True)
    drawn.save(folder / "segmentation_map_image.tiff")
    write_geo_table(regions, folder / "parquet_polygons.parquet")
    total = sum(drawn.area_um2(name) for name in drawn.classes if name != "NO_TISSUE")
    rows = [
        (
            code,
            name,
            MAP_COLORS[name],
            drawn.area_um2(name),
            100 * drawn.area_um2(name) / total if total else "",
        )
        for code, name in enumerate(drawn.classes, start=1)
    ]
    head = ("CLASS_ID", "CLASS_NAME", "COLOR", "ABSOLUTE_AREA", "RELATIVE_AREA")
    _write_csv(folder / "csv_class_information.csv", [head, *rows])


def _write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(NOTICE + "\n")
        csv.writer(file, lineterminator="\n").writerows(rows)
