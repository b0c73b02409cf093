"""Our numbers beside those of esda, pointpats, scipy and spatstat, where they define the same one.

    python benchmarks/compare_statistics.py [--rscript Rscript]

Clustered lymphocytes and random carcinoma cells in a square of 2 mm of one tissue (seed 0). With
--rscript, spatstat.explore is asked too; of the packages that are not installed nothing is printed.
"""

import argparse
import importlib.util
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree
from scipy.stats import false_discovery_control

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import measure_specimen
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.metrics.tiles import small_tiles
from histome.metrics.uncertainty.significance import benjamini_hochberg
from histome.slide import ClassMap

SIDE_UM = 2000.0
FAMILIES = (
    "nearest-distances",
    "cross-g",
    "cross-l",
    "clustering",
    "pairs-by-distance",
    "enrichment-in-tissue",
)
SPATSTAT = """
suppressMessages(library(spatstat.explore))
cells <- read.csv("{cells}")
X <- ppp(cells$x, cells$y, c(0, {side}), c(0, {side}), marks = factor(cells$class))
lym <- unmark(X[marks(X) == "lymphocyte"])
r <- c(0, 20, 40, 50, 100, 200, 500)
at <- function(f, column, where) f[[column]][match(where, f$r)]
fine <- seq(0, 500, by = 1)
cross <- Kcross(X, "carcinoma_cell", "lymphocyte", r = fine, correction = "border")
own <- Kest(lym, r = fine, correction = c("border", "translate"))
g <- Gest(lym, r = fine, correction = "none")
for (k in c(20, 100)) cat("CROSS_L_LYMPHOCYTE_CARCINOMA_CELL_", k, "\\tKcross border\\t",
  sqrt(at(cross, "border", k) / pi) - k, "\\n", sep = "")
for (k in c(20, 100)) cat("CROSS_L_LYMPHOCYTE_LYMPHOCYTE_", k, "\\tKest border\\t",
  sqrt(at(own, "border", k) / pi) - k, "\\n", sep = "")
for (k in c(50, 200, 500)) cat("L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_", k, "\\tKest translate\\t",
  sqrt(at(own, "trans", k) / pi) - k, "\\n", sep = "")
cat("CROSS_G_LYMPHOCYTE_FROM_LYMPHOCYTE_20\\tGest raw\\t", at(g, "raw", 20), "\\n", sep = "")
cat("NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_LYMPHOCYTE\\tnndist\\t", mean(nndist(lym)), "\\n", sep = "")
ce <- clarkevans(lym, correction = c("Donnelly", "cdf"))
cat("CLARK_EVANS_LYMPHOCYTE\\tclarkevans Donnelly\\t", ce[["Donnelly"]], "\\n", sep = "")
cat("CLARK_EVANS_LYMPHOCYTE\\tclarkevans cdf\\t", ce[["cdf"]], "\\n", sep = "")
"""

# A data set of spatstat in a window of 1 mm, and what its functions say of it. Positions are rounded, so that
# points lie exactly on the border of the reduced sample: they are moved by up to 2 um.
CLASSIC = """
suppressMessages(library(spatstat.explore))
set.seed(1)
X <- rjitter(shift(rescale({name}, 1 / 1000), origin = "bottomleft"), 2)
K <- Kest(X, r = seq(0, 100, by = 1), correction = "border")
ce <- clarkevans(X, correction = c("Donnelly", "cdf"))
cat(ce, sqrt(K$border[c(41, 101)] / pi) - c(40, 100), "\n")
cat(X$x, "\n")
cat(X$y, "\n")
"""


def pattern() -> tuple[ClassMap, pa.Table]:
    rng = np.random.default_rng(0)
    parents = rng.uniform(0, SIDE_UM, (rng.poisson(60), 2))
    points = np.repeat(parents, 15, axis=0) + rng.normal(0, 40, (15 * len(parents), 2))
    lymphocytes = points[((points >= 0) & (points < SIDE_UM)).all(axis=1)]
    others = rng.uniform(0, SIDE_UM, (1500, 2))
    x, y = np.concatenate([lymphocytes, others]).T
    names = ["lymphocyte"] * len(lymphocytes) + ["carcinoma_cell"] * len(others)
    code = TISSUE_CLASSES.index("STROMA") + 1
    tissue = ClassMap(np.full((1000, 1000), code, np.uint8), 2.0, TISSUE_CLASSES)
    return tissue, pa.table({"x_um": x, "y_um": y, "class": names})


def of_pysal(tissue: ClassMap, cells: pa.Table) -> list[tuple[str, str, float]]:
    """What esda and pointpats say."""
    import esda
    import pointpats
    from libpysal import weights

    tiles = small_tiles(counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue)))
    field = tiles.density[..., 5]
    queen = weights.lat2W(*field.shape, rook=False)
    chosen = np.array(cells["class"].to_pylist()) == "lymphocyte"
    points = np.column_stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()])[chosen]
    local = esda.G_Local(field.ravel(), queen, transform="B", star=True, permutations=0)
    # Its shares are of what lies within the support.
    _, share = pointpats.g(points, support=np.array([0.0, 20.0, 1e6]))
    return [
        ("MORANS_I_LYMPHOCYTE", "esda.Moran", esda.Moran(field.ravel(), queen, "b", permutations=0).I),
        ("HOTSPOT_FRACTION_LYMPHOCYTE", "esda.G_Local star", float(np.mean(local.Zs > 1.96))),
        (
            "NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_LYMPHOCYTE",
            "pointpats mean_nnd",
            pointpats.PointPattern(points).mean_nnd,
        ),
        ("CROSS_G_LYMPHOCYTE_FROM_LYMPHOCYTE_20", "pointpats.g", float(share[1])),
    ]


def of_scipy(cells: pa.Table, table: dict[str, dict]) -> list[tuple[str, str, float]]:
    """What follows from a k-d tree, and scipy's q values."""
    chosen = np.array(cells["class"].to_pylist()) == "lymphocyte"
    points = np.column_stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()])
    distance = cKDTree(points[chosen]).query(points[~chosen])[0]
    p = np.array([row["p"] for row in table.values() if row["p"] is not None])
    worst = np.abs(false_discovery_control(p) - benjamini_hochberg(p)).max()
    print(f"q of {len(p)} tests: at most {worst:.1e} from scipy.stats.false_discovery_control")
    return [
        ("NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_CARCINOMA_CELL", "cKDTree", distance.mean()),
        ("CROSS_G_LYMPHOCYTE_FROM_CARCINOMA_CELL_20", "cKDTree", float(np.mean(distance <= 20))),
    ]


def ask(rscript: str, text: str) -> list[str]:
    """Run a script and return its lines."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ask.R"
        script.write_text(text)
        return subprocess.run(
            [rscript, script], capture_output=True, text=True, check=True
        ).stdout.splitlines()


def classic(name: str, rscript: str) -> None:
    """Print what we and spatstat say of one of its data sets."""
    numbers, x, y = (
        np.array(line.split(), float) for line in ask(rscript, CLASSIC.replace("{name}", name))[-3:]
    )
    code = TISSUE_CLASSES.index("STROMA") + 1
    tissue = ClassMap(np.full((1000, 1000), code, np.uint8), 1.0, TISSUE_CLASSES)
    cells = pa.table({"x_um": x, "y_um": y, "class": ["lymphocyte"] * len(x)})
    specimen = counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    rows = measure_specimen(specimen, MetricsConfig(families=("cross-l", "clustering"))).to_pylist()
    value = {row["name"]: row["value"] for row in rows}
    ours = [value["CLARK_EVANS_LYMPHOCYTE"]] * 2
    ours += [value[f"CROSS_L_LYMPHOCYTE_LYMPHOCYTE_{radius}"] for radius in (40, 100)]
    for what, own, theirs in zip(
        ("Clark-Evans Donnelly", "Clark-Evans cdf", "L 40", "L 100"), ours, numbers, strict=True
    ):
        print(
            f"{name:<12} {what:<24} {own if own is not None else float('nan'):12.4f} spatstat {theirs:12.4f}"
        )


def of_spatstat(cells: pa.Table, rscript: str) -> list[tuple[str, str, float]]:
    """What spatstat says of the same points."""
    columns = (cells[name].to_pylist() for name in ("x_um", "y_um", "class"))
    rows = [f"{x!r},{y!r},{name}" for x, y, name in zip(*columns, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.csv"
        path.write_text("\n".join(["x,y,class", *rows]))
        told = ask(rscript, SPATSTAT.replace("{cells}", str(path)).replace("{side}", str(SIDE_UM)))
    rows = [line.split("\t") for line in told if "\t" in line]
    return [(name, f"spatstat {what}", float(value)) for name, what, value in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rscript", help="Rscript with spatstat.explore")
    given = parser.parse_args()
    tissue, cells = pattern()
    specimen = counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    rows = measure_specimen(specimen, MetricsConfig(families=FAMILIES)).to_pylist()
    table = {row["name"]: row for row in rows}
    peers = of_scipy(cells, table)
    if all(importlib.util.find_spec(name) for name in ("esda", "pointpats")):
        peers += of_pysal(tissue, cells)
    if given.rscript:
        peers += of_spatstat(cells, given.rscript)
        for name in ("redwood", "cells", "japanesepines"):
            classic(name, given.rscript)
    for name, what, theirs in peers:
        ours = table[name]["value"]
        print(f"{name:<52} {ours:12.6f}   {what:<28} {theirs:12.6f}   {ours - theirs:+.1e}")


if __name__ == "__main__":
    main()
