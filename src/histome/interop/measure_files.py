"""Metrics of cells and tissue that another program found: files in, metrics out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import histome
from histome.config import MetricsConfig
from histome.errors import UsageError
from histome.store.disk import write_json, writing

if TYPE_CHECKING:
    import pyarrow as pa

    from histome.geometry.shapes import Shapes

PARTS_TABLE = "parts.parquet"
_MPP_UM = (0.01, 10.0)


@dataclass(frozen=True)
class Findings:
    """What another program found: files of cells and tissue, their um per px, and a class map (map.toml)."""

    cells: Path
    tissue: Path
    mpp: float
    classes: Path | None = None


def measure_files(
    findings: Findings,
    out: Path,
    *,
    config: MetricsConfig | None = None,
    per: str | None = None,
    workers: int | None = None,
) -> "pa.Table":
    """Measure foreign cells and tissue; write metrics.parquet, slide.csv and run.json to `out`.

    per: "piece", "tile:<size>um" or "region:<file of polygons, in the same px>" writes parts.parquet as well,
    see `metrics.parts`.
    Returns the metrics table. Raises UsageError for an implausible mpp, and HistomeError for files that
    cannot be read, unmapped classes, and cells and tissue that are not at one resolution.
    """
    from histome.interop.cells import check_same_frame, read_foreign_cells
    from histome.interop.tissue import Labels, read_labels, read_tissue
    from histome.metrics.measure import count_metrics, measure
    from histome.tissue.regions import find_regions

    low, high = _MPP_UM
    if not low <= findings.mpp <= high:
        raise UsageError(f"--mpp {findings.mpp:g}: um per px lie between {low:g} and {high:g}")
    labels = read_labels(findings.classes) if findings.classes else Labels()
    cells = read_foreign_cells(findings.cells, labels.cells, mpp=findings.mpp)
    tissue = read_tissue(findings.tissue, labels.tissue, mpp=findings.mpp)
    check_same_frame(cells, tissue)
    facts = {"mpp_used": findings.mpp}
    regions = find_regions(tissue)
    table = measure(None, tissue, regions, cells, config, facts=facts, workers=workers)
    parts = None
    if per is not None:
        from histome.metrics.subregions import measure_parts

        kind, polygons = _polygons(per, findings.mpp)
        parts = measure_parts(tissue, cells, kind, polygons=polygons, config=config, workers=workers)
    counts = count_metrics(table)._asdict()
    _write(
        out, table, parts, _about(findings, config, {"cells": len(cells), "regions": len(regions)} | counts)
    )
    return table


def _polygons(per: str, mpp: float) -> "tuple[str, Shapes | None]":
    """Return the kind of part, and for regions the user's polygons brought from px to um."""
    import shapely

    from histome.geometry.shapes import Shapes
    from histome.interop.tissue import read_shapes

    kind, _, file = per.partition(":")
    if kind != "region":
        return per, None
    if not file:
        raise UsageError("metrics per region need polygons: --per region:<polygons.geojson>")
    shapes = read_shapes(file)
    return kind, Shapes(shapely.transform(shapes.geometry, lambda xy: xy * mpp), shapes.label)


def _about(findings: Findings, config: MetricsConfig | None, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what run.json says: names of the files, not where they lie."""
    named = {
        name: path.name
        for name in ("cells", "tissue", "classes")
        if (path := getattr(findings, name)) is not None
    }
    return {
        "histome": histome.__version__,
        "research_use_only": True,
        "input": named | {"mpp": findings.mpp},
        "config": (config or MetricsConfig()).model_dump(mode="json"),
        "metrics": dict(counts),
    }


def _write(out: Path, table: "pa.Table", parts: "pa.Table | None", about: Mapping[str, Any]) -> None:
    """Write everything beside its place first, then move it there."""
    import tempfile

    import pyarrow.parquet as pq

    from histome.store.files import METRICS

    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as partial:
            METRICS.save(table, Path(partial))
            if parts is not None:
                pq.write_table(parts, Path(partial) / PARTS_TABLE, compression="zstd")
            for path in sorted(Path(partial).iterdir()):
                path.replace(out / path.name)
        write_json(out / "run.json", about)
