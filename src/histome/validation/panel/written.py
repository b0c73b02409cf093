"""Molecular labels on disk: a rater's table of votes, the readings of each marker, and fields to train on."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from PIL import Image
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from histome.geometry.raster import paint_polygons
from histome.slide import Slide
from histome.validation.panel.calls import PANEL_RATER, PanelCalls
from histome.validation.panel.measure import MarkerReading

FIELD_UM = 256.0
_FINEST_MPP = 0.25


def label_table(
    cell_ids: Sequence[str], calls: PanelCalls, readings: Mapping[str, MarkerReading], *, slide: str
) -> pa.Table:
    """One row a nucleus: the columns of a vote, why it has none, and od and positive of each marker."""
    n = len(cell_ids)
    columns = {
        "cell_id": pa.array([str(name) for name in cell_ids]),
        "rater": pa.array([PANEL_RATER] * n),
        "label": pa.array(calls.label.tolist()),
        "condition": pa.array(["IHC"] * n),
        "slide": pa.array([slide] * n),
        "why_none": pa.array(calls.why.tolist()),
    }
    for name, reading in readings.items():
        columns[f"{name}_od"] = pa.array(reading.od, from_pandas=True)
        columns[f"{name}_share"] = pa.array(reading.share, from_pandas=True)
        columns[f"{name}_positive"] = pa.array(calls.positive[name], mask=reading.lost)
    return pa.table(columns)


def write_labels(out: Path, table: pa.Table) -> None:
    """Write positivity.parquet, all columns of all nuclei, and votes.csv, the labels that there are."""
    out.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, out / "positivity.parquet")
    said = table.filter(pa.array([bool(label) for label in table["label"].to_pylist()]))
    arrow_csv.write_csv(said.select(["cell_id", "rater", "label", "condition", "slide"]), out / "votes.csv")


def write_training_fields(
    out: Path, slide: Slide, outlines_um: NDArray[np.object_], labels: NDArray[np.str_], *, fields: int
) -> int:
    """Write the squares with the most labels as a folder that `train nuclei --data` reads.

    Every nucleus of a square is an instance; one without a label of the panel is a nucleus of unknown type.
    Returns how many squares there are: those without a label are no use.
    """
    corners = np.floor(shapely.get_coordinates(shapely.centroid(outlines_um)) / FIELD_UM)
    squares, inverse = np.unique(corners, axis=0, return_inverse=True)
    number = np.bincount(inverse.ravel(), labels != "", minlength=len(squares))
    chosen = [k for k in np.argsort(-number, kind="stable")[:fields].tolist() if number[k]]
    tree = shapely.STRtree(outlines_um)
    images, nuclei = [], []
    out.mkdir(parents=True, exist_ok=True)
    for k in chosen:
        x, y = (squares[k] * FIELD_UM).tolist()
        name = f"{slide.id}_{round(x)}_{round(y)}"
        near = np.sort(tree.query(shapely.box(x, y, x + FIELD_UM, y + FIELD_UM)))
        mpp, centers = _write_field(out / name, slide, (x, y), outlines_um[near])
        row = {"image": name, "file": f"{name}.png", "instances": f"{name}_instances.png"}
        images.append(row | {"source": slide.id, "mpp": mpp})
        for instance, (cx, cy) in centers.items():
            place = {"image": name, "instance": instance, "x_px": f"{cx:.2f}", "y_px": f"{cy:.2f}"}
            nuclei.append(place | {"label": labels[near[instance - 1]]})
    _write_csv(out / "images.csv", ("image", "file", "instances", "source", "mpp"), images)
    _write_csv(out / "nuclei.csv", ("image", "instance", "x_px", "y_px", "label"), nuclei)
    return len(chosen)


def _write_field(
    path: Path, slide: Slide, corner_um: tuple[float, float], outlines_um: NDArray[np.object_]
) -> tuple[float, dict[int, list[float]]]:
    """Write pixels and instances; return um/px of both, and the centers in px of those that have a pixel."""
    mpp = max(_FINEST_MPP, slide.mpp.x, slide.mpp.y)
    side = round(FIELD_UM / mpp)
    x, y = corner_um
    rgb = slide.read(x / slide.mpp.x, y / slide.mpp.y, size=(side, side), mpp=mpp)
    moved = shapely.transform(outlines_um, lambda xy: (xy - np.array(corner_um)) / mpp)
    instances = np.zeros((side, side), np.int32)
    paint_polygons(instances, moved, np.arange(1, len(moved) + 1, dtype=np.int32))
    Image.fromarray(rgb).save(path.with_name(f"{path.name}.png"))
    Image.fromarray(instances.astype(np.uint16)).save(path.with_name(f"{path.name}_instances.png"))
    centers = shapely.get_coordinates(shapely.centroid(moved)).tolist()
    return mpp, {k: centers[k - 1] for k in np.unique(instances).tolist() if k}


def _write_csv(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)
