"""How each stage's value lies on disk: the files of a profile, written and read back.

Imports stand in the functions: a finished profile is recognized without reading Arrow, TIFF or Zarr code.
"""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from histome.errors import UsageError
from histome.store.disk import read_json, write_json

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from histome.cells.classify import NucleiRead
    from histome.cells.rows import CellRows
    from histome.cells.windows import Nuclei
    from histome.geotable import FiledTable
    from histome.qc import Quality
    from histome.slide import ClassMap, ProbabilityMap
    from histome.tissue import Tissue

T = TypeVar("T")
QUALITY_MAP = "qc.ome.tif"
FOCUS = "focus.tif"
FRAGMENTS = "fragments.tif"
QUALITY_NUMBERS = "quality.json"
TISSUE_MAP = "tissue.ome.tif"
ZONES_MAP = "zones.ome.tif"
TISSUE_PROBABILITIES = "tissue.zarr"
REGIONS = "regions.parquet"
CELLS_TABLE = "cells.parquet"
NUCLEI_COLUMNS = "nuclei.npz"
METRICS_TABLE = "metrics.parquet"
PARTS_TABLE = "parts.parquet"
OUTLINES = "outlines.parquet"
EDITS_FILE = "edits.jsonl"
NARRATIVE_TEXT = "narrative.json"
REPORT_PAGE = "index.html"


class Parts(NamedTuple):
    """Regions of interest: their metrics, a row a region and metric, and their outlines."""

    metrics: "pa.Table"
    outlines: "pa.Table"


@dataclass(frozen=True)
class Files(Generic[T]):
    """How one stage's value is kept: `save(value, folder)` and its inverse `load(folder)`."""

    save: Callable[[T, Path], None]
    load: Callable[[Path], T]


def _class_map(path: Path) -> "ClassMap":
    from histome.slide import ClassMap

    return ClassMap.load(path)


def _write_table(table: "pa.Table", path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path, compression="zstd")


def _read_table(path: Path) -> "pa.Table":
    from pyarrow import parquet

    return parquet.read_table(path)


def _save_quality(quality: "Quality", folder: Path) -> None:
    quality.map.save(folder / QUALITY_MAP)
    _write_plane(quality.focus, folder / FOCUS)
    _write_plane(quality.fragments, folder / FRAGMENTS)
    numbers = {
        "background_rgb": [float(value) for value in quality.background_rgb],
        "background_seen": quality.background_seen,
        "tissue_density": _number(quality.tissue_density),
        "focus_score": _number(quality.focus_score),
        "extent_um": quality.extent_um,
        "mpp": quality.mpp,
        "stain": {
            name: [_number(v) for v in value] if isinstance(value, tuple) else _number(value)
            for name, value in quality.stain._asdict().items()
        },
    }
    write_json(folder / QUALITY_NUMBERS, numbers)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _load_quality(folder: Path) -> "Quality":
    import tifffile

    from histome.qc import Quality
    from histome.qc.stain import ColorSpread, Stain

    numbers = read_json(folder / QUALITY_NUMBERS)
    stain = Stain(**{name: _value(value) for name, value in numbers["stain"].items()})
    return Quality(
        _class_map(folder / QUALITY_MAP),
        tifffile.imread(folder / FOCUS),
        tifffile.imread(folder / FRAGMENTS),
        tuple(numbers["background_rgb"]),
        numbers["background_seen"],
        _value(numbers["tissue_density"]),
        tuple(numbers["extent_um"]),
        tuple(numbers["mpp"]),
        stain._replace(colors=ColorSpread(*stain.colors)),
    )


def _value(kept: Any) -> Any:
    """Undo `_number`, in lists too."""
    return tuple(map(_value, kept)) if isinstance(kept, list) else math.nan if kept is None else kept


def _write_plane(array: "np.ndarray", path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, array, compression="zlib", metadata=None, software="histome")


def _save_tissue(tissue: "Tissue", folder: Path) -> None:
    from histome.geotable import write_geo_table

    if tissue.probabilities is None:
        raise ValueError("the tissue of a profile has probabilities")
    tissue.map.save(folder / TISSUE_MAP)
    tissue.zones.save(folder / ZONES_MAP)
    tissue.probabilities.save(folder / TISSUE_PROBABILITIES)
    write_geo_table(tissue.regions, folder / REGIONS)


def _load_tissue(folder: Path) -> "Tissue":
    from histome.geotable import read_geo_table
    from histome.slide import ProbabilityMap
    from histome.tissue import Tissue
    from histome.tissue.regions import REGION_SCHEMA

    regions, zones = read_geo_table(folder / REGIONS, REGION_SCHEMA), _class_map(folder / ZONES_MAP)
    probabilities = ProbabilityMap.load(folder / TISSUE_PROBABILITIES)
    return Tissue(_class_map(folder / TISSUE_MAP), regions, zones, probabilities)


def _load_tissue_to_measure(folder: Path) -> "Tissue":
    """Of a tissue that cells and metrics read, zones and regions are seldom needed: they stay on disk."""
    from histome.geotable import file_geo_table
    from histome.slide.maps import FiledMap
    from histome.tissue import Tissue
    from histome.tissue.regions import REGION_SCHEMA

    regions, zones = file_geo_table(folder / REGIONS, REGION_SCHEMA.names), FiledMap(folder / ZONES_MAP)
    return Tissue(_class_map(folder / TISSUE_MAP), regions, zones)


def load_tissue_maps(folder: Path) -> "tuple[ClassMap, ProbabilityMap | None]":
    """Return map and probabilities of a tissue alone."""
    from histome.slide import ProbabilityMap

    return _class_map(folder / TISSUE_MAP), ProbabilityMap.load(folder / TISSUE_PROBABILITIES)


def _save_cells(cells: "pa.Table | CellRows", folder: Path) -> None:
    from histome.cells.table import write_cells

    write_cells(cells, folder / CELLS_TABLE)


def _load_cells(folder: Path) -> "pa.Table":
    from histome.cells.table import read_cells

    return read_cells(folder / CELLS_TABLE)


def _load_measured(folder: Path) -> "FiledTable":
    """What metrics read, and what corrections change of that."""
    from histome.cells.table import MEASURED
    from histome.geotable import file_geo_table

    return file_geo_table(folder / CELLS_TABLE, MEASURED)


def _save_columns(nuclei: "Nuclei | NucleiRead", folder: Path) -> None:
    import numpy as np

    np.savez(folder / NUCLEI_COLUMNS, **nuclei._asdict())


def _load_columns(folder: Path) -> "dict[str, np.ndarray]":
    import numpy as np

    with np.load(folder / NUCLEI_COLUMNS, allow_pickle=False) as columns:
        return dict(columns)


def _load_nuclei(folder: Path) -> "Nuclei":
    from histome.cells.windows import Nuclei

    return Nuclei(**_load_columns(folder))


def _load_read(folder: Path) -> "NucleiRead":
    from histome.cells.classify import NucleiRead

    return NucleiRead(**_load_columns(folder))


def _save_metrics(table: "pa.Table", folder: Path) -> None:
    _write_table(table, folder / METRICS_TABLE)


def _save_parts(parts: "Parts", folder: Path) -> None:
    from histome.geotable import write_geo_table

    _write_table(parts.metrics, folder / PARTS_TABLE)
    write_geo_table(parts.outlines, folder / OUTLINES)


def _load_parts(folder: Path) -> "Parts":
    from histome.geotable import read_geo_table

    return Parts(_read_table(folder / PARTS_TABLE), read_geo_table(folder / OUTLINES))


def find_edits(given: str | None, slide: str) -> Path | None:
    """Return a slide's file of corrections, `given` or in the folder given; None where there is none.

    Raises UsageError for a file that is not there.
    """
    if given is None:
        return None
    path = Path(given)
    if path.is_dir():
        found = path / f"{slide}.{EDITS_FILE}"
        return found if found.is_file() else None
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file of edits; `histome view` writes it")
    return path


def with_edits(files: "Files[pa.Table]", edits: Path | None) -> "Files[pa.Table]":
    """Return how a table is kept that was made with a file of edits, or none: together with a copy of it."""
    if edits is None:
        return files

    def save(table: "pa.Table", folder: Path) -> None:
        files.save(table, folder)
        shutil.copyfile(edits, folder / EDITS_FILE)

    return Files(save, files.load)


def _save_narrative(narrative: dict[str, Any], folder: Path) -> None:
    write_json(folder / NARRATIVE_TEXT, narrative)


def _save_report(page: str, folder: Path) -> None:
    (folder / REPORT_PAGE).write_text(page, encoding="utf-8")


QUALITY: "Files[Quality]" = Files(_save_quality, _load_quality)
TISSUE: "Files[Tissue]" = Files(_save_tissue, _load_tissue)
CELLS: "Files[pa.Table]" = Files(_save_cells, _load_cells)
# As cells and metrics get the tissue, and metrics the cells.
MEASURED_TISSUE: "Files[Tissue]" = Files(_save_tissue, _load_tissue_to_measure)
MEASURED_CELLS: "Files[FiledTable]" = Files(_save_cells, _load_measured)
# Of some windows, on the way to the table.
NUCLEI: "Files[Nuclei]" = Files(_save_columns, _load_nuclei)
NUCLEI_READ: "Files[NucleiRead]" = Files(_save_columns, _load_read)
METRICS: "Files[pa.Table]" = Files(_save_metrics, lambda folder: _read_table(folder / METRICS_TABLE))
PARTS: "Files[Parts]" = Files(_save_parts, _load_parts)
NARRATIVE: Files[dict[str, Any]] = Files(_save_narrative, lambda folder: read_json(folder / NARRATIVE_TEXT))
REPORT: Files[str] = Files(_save_report, lambda folder: (folder / REPORT_PAGE).read_text(encoding="utf-8"))
