"""Made profiles: small maps, cells and metrics with the declared schemas, over a slide drawn as a PNG."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from helpers.cells import cell_table
from PIL import Image
from pyarrow import parquet

from histome.caveats.codes import caveat
from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES
from histome.errors import MissingPartError
from histome.metrics.catalogue import list_metrics
from histome.slide import ClassMap, Slide, open_slide
from histome.store.caveat import Caveat
from histome.tissue import Tissue

MPP = 0.5
SIDE_PX = 1200
FAMILIES = (
    "total-area",
    "qc-areas",
    "tissue-areas",
    "tissue-regions",
    "all-cells",
    "cells-per-class",
    "cells-by-tissue",
)
QUALITY_MPP, TISSUE_MPP = 8.0, 2.0


@dataclass
class MadeProfile:
    """Has a profile's parts; one that is None raises as a part does that the run never made."""

    parts: dict[str, Any]
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[Caveat, ...]:
        """As in a profile."""
        return tuple(Caveat(**entry) for entry in self.run["warnings"])

    @contextmanager
    def cells_file(self) -> Iterator[Path]:
        """As in a profile."""
        cells = self.cells
        with TemporaryDirectory() as folder:
            parquet.write_table(cells, Path(folder) / "cells.parquet")
            yield Path(folder) / "cells.parquet"

    def tissue_maps(self) -> tuple[Any, Any]:
        """As in a profile."""
        return self.tissue.map, self.tissue.probabilities

    def __getattr__(self, name: str) -> Any:
        part = self.__dict__["parts"].get(name)
        if part is None:
            raise MissingPartError(f"no {name} results")
        return part


def make_slide(folder: Path, name: str = "made", side_px: int = SIDE_PX) -> Slide:
    """A pink slide with texture."""
    rng = np.random.default_rng(5)
    pixels = np.full((side_px, side_px, 3), (228, 180, 205), np.uint8)
    pixels[..., 1] += rng.integers(0, 30, (side_px, side_px), dtype=np.uint8)
    path = folder / f"{name}.png"
    Image.fromarray(pixels).save(path)
    return open_slide(path, mpp=MPP)


def make_quality(side_um: float = SIDE_PX * MPP) -> ClassMap:
    """Valid tissue with a pen corner and a strip of bare glass."""
    n = round(side_um / QUALITY_MPP)
    codes = np.full((n, n), QC_CLASSES.index("VALID_TISSUE") + 1, np.uint8)
    codes[: n // 3, -(n // 3) :] = QC_CLASSES.index("MARKER") + 1
    codes[-2:] = QC_CLASSES.index("NO_TISSUE") + 1
    return ClassMap(codes, QUALITY_MPP, QC_CLASSES)


def make_tissue(side_um: float = SIDE_PX * MPP) -> ClassMap:
    """Carcinoma on the left half, stroma on the right."""
    n = round(side_um / TISSUE_MPP)
    codes = np.full((n, n), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    codes[:, : n // 2] = TISSUE_CLASSES.index("CARCINOMA") + 1
    return ClassMap(codes, TISSUE_MPP, TISSUE_CLASSES)


def make_cells(n: int = 900, side_um: float = SIDE_PX * MPP, seed: int = 1) -> pa.Table:
    """Discs at random places: carcinoma cells on the left, every other class on the right."""
    rng = np.random.default_rng(seed)
    x_um, y_um = (rng.uniform(8, side_um - 8, n) for _ in range(2))
    others = rng.integers(1, len(CELL_CLASSES), n)
    codes = np.where(x_um < side_um / 2, 0, others)
    confidence = rng.uniform(0.3, 1.0, n).astype(np.float32)
    outlines = shapely.buffer(shapely.points(x_um / MPP, y_um / MPP), 7.0, quad_segs=8)
    return cell_table(
        x_um,
        y_um,
        codes,
        cell_id=np.arange(1, n + 1),
        x=x_um / MPP,
        y=y_um / MPP,
        confidence=confidence,
        abstained=confidence < 0.4,
        geometry=shapely.to_wkb(outlines),
    )


def make_metrics(
    values: Mapping[str, float | None] | None = None, families: Sequence[str] = FAMILIES
) -> pa.Table:
    """A row for each metric of the families: a made value, or the one given (None: null)."""
    rng = np.random.default_rng(2)
    metrics = list_metrics(families)
    made = rng.uniform(0.001, 0.9, len(metrics)) * 10.0 ** rng.integers(0, 6, len(metrics))
    numbers: list[float | None] = [
        float(round(value)) if metric.unit == "cells" else float(value)
        for metric, value in zip(metrics, made, strict=True)
    ]
    given = values or {}
    numbers = [given.get(metric.name, number) for metric, number in zip(metrics, numbers, strict=True)]
    sample = rng.integers(1, 100_000, len(metrics))
    reasons = [
        None if number is not None else f"there is no <{metric.family}>"
        for metric, number in zip(metrics, numbers, strict=True)
    ]
    columns = {
        "value": pa.array(numbers, pa.float64()),
        "n": pa.array(sample, pa.int64()),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table(
        {
            "name": [metric.name for metric in metrics],
            "unit": [metric.unit for metric in metrics],
            **columns,
            **{f"{name}_confident": column for name, column in columns.items()},
        }
    )


def null_metrics() -> pa.Table:
    """Every metric null."""
    return make_metrics({metric.name: None for metric in list_metrics(FAMILIES)})


def make_run(**changes: Any) -> dict[str, Any]:
    """What run.json holds while the report is made."""
    return {
        "state": "running",
        "slide": {"fingerprint": "f" * 16, "broken_tiles": {"count": 0}},
        "stages": {"qc": {"seconds": 1.25}, "cells": {"seconds": None}},
        "warnings": [caveat("ORGAN_NOT_STATED", "State it.")._asdict()],
        "started": "2026-01-02T03:04:05+00:00",
        "code": "0.1.0+abc",
        "versions": {"numpy": "2.0"},
        "config": {"report": {"seed": 0}, "cells": {"model": "no such model"}},
        "models": [{"name": "made-up", "version": "1", "sha256": "0" * 64, "license": "none"}],
        **changes,
    }


def make_profile(**changes: Any) -> MadeProfile:
    """A whole profile; name a part with None to take it away."""
    parts = {
        "quality": SimpleNamespace(map=make_quality()),
        "tissue": Tissue.of(make_tissue()),
        "cells": make_cells(),
        "metrics": make_metrics(),
    }
    run = changes.pop("run", None) or make_run()
    return MadeProfile({**parts, **changes}, run)


def table_of(rows: Mapping[str, tuple[float | None, int]]) -> pa.Table:
    """A table of the metrics named, each with value and n, in the catalogue's units."""
    units = {metric.name: metric.unit for metric in list_metrics()}
    return pa.table(
        {
            "name": list(rows),
            "value": pa.array([value for value, _ in rows.values()], pa.float64()),
            "unit": [units[name] for name in rows],
            "n": pa.array([n for _, n in rows.values()], pa.int64()),
            "reason": pa.array([None] * len(rows), pa.string()),
        }
    )
