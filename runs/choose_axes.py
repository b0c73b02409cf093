"""The distribution of the six axes over labeled fields and one slide, and the cuts of `phenotypes.toml`.

    python runs/choose_axes.py --data ../shared/data --out runs/out/axes

Labels by people: pannuke_figures (64 um fields), consep (250 um), crchistophenotypes (275 um, points: no
areas). By a model, so for the shape of the distribution only: 250 um tiles of hgsc_cells. `values.csv` has a
row a field, `axes.svg` the histograms of docs/images; printed are quantiles by data set and organ, and how
many fields the cuts call low and high.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot

from histome.datasets.fields import Field, load_fields, read_rows
from histome.interop import read_foreign_cells
from histome.phenotype.axes import phenotypes
from histome.phenotype.features import PatchCells, measure_cells
from histome.phenotype.tiles import tile_phenotypes
from histome.training.uperhover.network import IGNORE
from histome.training.uperhover.patches import class_codes

SETS = ("pannuke_figures", "consep", "crchistophenotypes")
WORDS = {
    "neoplastic": "carcinoma_cell",
    "connective": "fibroblast",
    "inflammatory": "lymphocyte",
    "macrophage_cell": "macrophage",
    "macrophage_nucleus": "macrophage",
    "dead": "other",
}
FEWEST = 20


def cells_of(field: Field) -> PatchCells:
    """The typed nuclei of a labeled field, in um; of points without an area."""
    codes, mpp = class_codes(field), field.label_mpp
    if field.data_set == "crchistophenotypes":  # carcinoma throughout: its epithelial cells are neoplastic
        epithelial = field.sets == np.bincount(field.sets[field.sets > 0]).argmax()
        codes = np.where((codes == IGNORE) & epithelial, 1, codes)
    area = np.bincount(field.labels.ravel(), minlength=len(codes))[1:] * mpp**2
    area = area if field.shapes else np.full(len(area), np.nan)
    x, y = (field.points_px.astype(float) * mpp).T
    cells = PatchCells(x, y, area.astype(float), codes[1:].astype(np.int64))
    return cells.select(cells.code != IGNORE)


def rows(data: Path) -> Iterator[dict[str, Any]]:
    """A row a field: data set, organ, and the value of each axis."""
    values = [axis.value for axis in phenotypes().axes.values()]
    for name in SETS:
        organs = {row["image"]: row["organ"] for row in read_rows(data / name / "images.csv")}
        for field in load_fields(data / name, name):
            cells = cells_of(field)
            if len(cells.code) >= FEWEST:
                raw = measure_cells(cells, unit="um")
                yield {"set": name, "organ": organs[field.name], **{value: raw[value] for value in values}}
    table = read_foreign_cells(data / "hgsc_cells/hgsc_nuclei_wsi.parquet", WORDS, mpp=0.5)
    for tile in tile_phenotypes(table, 250.0).to_pylist():
        if tile["total_cell_count"] >= FEWEST:
            yield {"set": "hgsc_cells", "organ": "Ovary", **{value: tile[value] for value in values}}


def column(found: list[dict[str, Any]], value: str, **where: str) -> np.ndarray:
    """The values of one axis that exist."""
    kept = [r[value] for r in found if all(r[k] == v for k, v in where.items())]
    return np.array([v for v in kept if v is not None], float)


def told(found: list[dict[str, Any]]) -> None:
    """Print quantiles by data set and organ, and the shares of the levels with the cuts that are shipped."""
    for name, axis in phenotypes().axes.items():
        print(f"\n{name} ({axis.value}), below {axis.below}, above {axis.above}")
        groups = sorted({("set", r["set"]) for r in found} | {("organ", r["organ"]) for r in found})
        for key, group in groups:
            v = column(found, axis.value, **{key: group})
            if len(v) < 5:
                continue
            q = np.quantile(v, [0.1, 0.25, 0.5, 0.75, 0.9]).round(3).tolist()
            levels = [(v < axis.below).mean(), (v > axis.above).mean()]
            low, high = (f"{100 * share:.0f} %" for share in levels)
            print(f"  {group}: n {len(v)}, quantiles 10-90 {q}; low {low}, high {high}")


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Histograms of the six axes, each set with equal weight, and their cuts."""
    figure, places = pyplot.subplots(2, 3, figsize=(11, 5.5), layout="constrained")
    sets = [*SETS, "hgsc_cells"]
    for place, (name, axis) in zip(places.flat, phenotypes().axes.items(), strict=True):
        parts = [column(found, axis.value, set=s) for s in sets]
        top = np.quantile(np.concatenate(parts), 0.99)
        bins = np.linspace(0, top, 31)
        for part, label in zip(parts, sets, strict=True):
            if len(part):
                share = np.full(len(part), 1 / len(part))
                place.hist(part.clip(max=top), bins, weights=share, histtype="step", label=label)
        for cut in (axis.below, axis.above):
            place.axvline(cut, color="0.3", linestyle=":")
        place.set_title(f"{name}: {axis.value}" + (f", {axis.unit}" if axis.unit != "1" else ""), fontsize=8)
    places[0, 0].legend(fontsize=7)
    figure.supylabel("share of the fields of a set", fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, write, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/axes"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = list(rows(args.data))
    with (args.out / "values.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0].keys())
        writer.writeheader()
        writer.writerows(found)
    told(found)
    draw(found, args.out / "axes.svg")


if __name__ == "__main__":
    main()
