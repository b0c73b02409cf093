"""Metrics of cells and tissue that another program found: files in, metrics out."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

import histome
from histome.config import MetricsConfig
from histome.errors import HistomeError, OutputError, UsageError
from histome.geometry.shapes import Shapes
from histome.interop.formats import read_foreign_cells, read_shapes, read_tissue
from histome.interop.frames import check_same_frame, share_on_tissue
from histome.interop.labels import Labels, read_labels
from histome.metrics.measuring import count_metrics, measure
from histome.metrics.subregions import measure_subregions
from histome.slide.maps import ClassMap
from histome.slide.mpp import check_coordinates_mpp
from histome.store.disk import read_json, write_json, writing
from histome.store.files import METRICS, PARTS_TABLE
from histome.store.logged import logged_warnings
from histome.store.profile import RUN_NAME
from histome.store.slide_row import ROW_HEAD, SLIDE_ROW, write_slide_row
from histome.threads import available_cpus
from histome.tissue import Tissue
from histome.tissue.zones import DEFAULT_RULE, ZoneRule

# Fewer cells on tissue, or more tissue claimed twice, is told.
_MANY, _SMALL_OVERLAP = 0.8, 0.005


@dataclass(frozen=True)
class ForeignFiles:
    """What another program found: files of cells and tissue, their um per px, and a class map (map.toml)."""

    cells: Path
    tissue: Path
    mpp: float
    classes: Path | None = None


def measure_files(
    files: ForeignFiles,
    out: Path,
    *,
    config: MetricsConfig | None = None,
    per: str | None = None,
    any_frame: bool = False,
    rule: ZoneRule = DEFAULT_RULE,
    workers: int | None = None,
) -> pa.Table:
    """Measure foreign cells and tissue; write metrics.parquet, slide.csv and run.json to `out`.

    Parameters
    ----------
    any_frame : bool
        Measure even where the cells look as if they were drawn at another resolution than the tissue.
    per : str or None
        "piece", "tile:<size>um" or "region:<file of polygons, in the same px>" writes parts.parquet as well,
        see `metrics.subregions`.
    rule : ZoneRule
        How the zones round the tumor are drawn.

    Returns
    -------
    pa.Table
        The metrics table.

    Raises
    ------
    UsageError
        An implausible mpp.
    OutputError
        A folder with the run.json of something else, such as a profile.
    HistomeError
        Files that cannot be read, unmapped classes, cells and tissue that are not at one resolution, no cell
        on the tissue.
    """
    check_coordinates_mpp(files.mpp)
    _check_own(out)
    labels = read_labels(files.classes) if files.classes else Labels()
    cells = read_foreign_cells(files.cells, labels.cells, mpp=files.mpp)
    found = read_tissue(files.tissue, labels.tissue, mpp=files.mpp)
    tissue_map = found.map
    if not any_frame:
        check_same_frame(cells, tissue_map)
    placed = _placed(cells, tissue_map, found.overlap_um2)
    tissue = Tissue.of(tissue_map, regions=found.regions, rule=rule, workers=workers or available_cpus())
    tissue = replace(tissue, glands=found.glands)
    table = measure(tissue, cells, None, config, facts={"mpp_used": files.mpp}, workers=workers)
    parts = None
    if per is not None:
        kind, polygons = _polygons(per, files.mpp)
        with logged_warnings() as lines:
            parts = measure_subregions(
                tissue_map, cells, kind, polygons=polygons, config=config, rule=rule, workers=workers
            )
        placed["warnings"] += lines
    counts = {"cells": len(cells), "regions": len(tissue.regions)} | count_metrics(table)._asdict()
    _write(out, table, parts, _about(files, config, counts) | placed | {"zones": rule._asdict()})
    return table


def _check_own(out: Path) -> None:
    """Raise OutputError where a folder's run.json is not that of such a measurement."""
    if (out / RUN_NAME).exists() and not {"input", "metrics"} <= read_json(out / RUN_NAME).keys():
        raise OutputError(
            f"{out}: holds a profile or something else that metrics run did not write; give another folder "
            "with -o"
        )


def _placed(cells: pa.Table, tissue: ClassMap, overlap_um2: float) -> dict[str, Any]:
    """Return how the cells lie on the tissue, with warnings; raises HistomeError where none does."""
    share, area_um2 = share_on_tissue(cells, tissue), float(tissue.areas_px()[1:].sum()) * tissue.mpp**2
    if len(cells) and share == 0:
        raise HistomeError(
            f"none of the {len(cells):,} cells lies on analyzed tissue: are both files in px of one level?"
        )
    warnings = []
    if len(cells) and share < _MANY:
        warnings.append(f"{share:.1%} of the {len(cells):,} cells lie on analyzed tissue")
    if overlap_um2 > _SMALL_OVERLAP * area_um2:
        warnings.append(
            f"polygons of different tissue overlap over {overlap_um2 / 1e6:.3g} mm2; the smaller one counts"
        )
    return {
        "cells_on_tissue": share if len(cells) else None,
        "tissue": {"map_mpp": tissue.mpp, "area_um2": area_um2, "overlap_um2": overlap_um2},
        "warnings": warnings,
    }


def _polygons(per: str, mpp: float) -> tuple[str, Shapes | None]:
    """Return the kind of part, and for regions the user's polygons brought from px to um."""
    kind, _, file = per.partition(":")
    if kind != "region":
        return per, None
    if not file:
        raise UsageError("metrics per region need polygons: --per region:<polygons.geojson>")
    shapes = read_shapes(file)
    return kind, Shapes(shapely.transform(shapes.geometry, lambda xy: xy * mpp), shapes.label)


def _about(files: ForeignFiles, config: MetricsConfig | None, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what run.json says: names of the files, not where they lie."""
    named = {
        name: {"file": path.name, "sha256": _sha256(path)}
        for name in ("cells", "tissue", "classes")
        if (path := getattr(files, name)) is not None
    }
    return {
        "histome": histome.__version__,
        "research_use_only": True,
        "input": named | {"mpp": files.mpp},
        "config": (config or MetricsConfig()).model_dump(mode="json"),
        "metrics": dict(counts),
    }


def _sha256(path: Path) -> str:
    """Return the checksum of a file, so that what was measured can be told from what lies there later."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what slide.csv says of these files; no slide, no model and no run was seen."""
    cells, mpp, warnings = about["input"]["cells"], about["input"]["mpp"], about["warnings"]
    return dict.fromkeys(ROW_HEAD, "") | {
        "slide": Path(cells["file"]).stem,
        "file": cells["file"],
        "fingerprint": cells["sha256"],
        **{"mpp_x": mpp, "mpp_y": mpp, "histome": about["histome"], "state": "done"},
        **{"warnings": len(warnings), "warning_codes": "; ".join(warnings)},
    }


def _write(out: Path, table: pa.Table, parts: pa.Table | None, about: Mapping[str, Any]) -> None:
    """Write to a temporary folder, then rename into `out`, so that no file is ever half-written."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as partial:
            METRICS.save(table, Path(partial))
            write_slide_row(Path(partial) / SLIDE_ROW, _row(about), table)
            if parts is not None:
                pq.write_table(parts, Path(partial) / PARTS_TABLE, compression="zstd")
            if parts is None:
                (out / PARTS_TABLE).unlink(missing_ok=True)  # of what was measured here before
            for path in sorted(Path(partial).iterdir()):
                path.replace(out / path.name)
        write_json(out / RUN_NAME, about)
