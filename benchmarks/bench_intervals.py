"""How often the 95 % intervals of the metrics hold the truth, on simulated slides.

    python benchmarks/bench_intervals.py [--slides N] [--side MM] [--block UM] [--process csr|thomas]
        [--tissue stripes|patches] [--families ID ...]

Each slide is a square of carcinoma and stroma with carcinoma cells and fibroblasts at random (300 per mm2
each) and lymphocytes either at random (csr: 200 per mm2) or in clusters (thomas: 10 parents per mm2, 20 each,
SD 50 um). The tissue is stripes of 1 mm, the same on all slides, or patches of some 200 um, drawn anew for
each. The truth of a metric is its mean over all the slides; of stripes what hangs on tissue alone is no
number that varies, of patches the numbers of cells are as much as there is tissue, and neither is told. A
metric is told where at least nine slides in ten give it an interval.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
import pyarrow as pa
from scipy import ndimage

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.catalogue import FAMILIES, find_metric
from histome.metrics.measuring import measure
from histome.slide import ClassMap
from histome.tissue import Tissue

MPP = 10.0
NAMED = (
    "CELL_COUNT_LYMPHOCYTE",
    "CELL_DENSITY_LYMPHOCYTE",
    "CELL_DENSITY_LYMPHOCYTE_STROMA",
    "CELL_PERCENTAGE_LYMPHOCYTE",
    "LYMPHOCYTE_TO_CARCINOMA_CELL_RATIO",
    "SHANNON",
    "NUCLEUS_AVG_AREA_LYMPHOCYTE",
    "NUCLEUS_SD_AREA_LYMPHOCYTE",
    "NUMBER_OF_LYMPHOCYTES_AROUND_CARCINOMA_CELL_IN_CARCINOMA_20",
    "RATIO_OF_LYMPHOCYTES_AROUND_CARCINOMA_CELL_IN_CARCINOMA_20",
    "NN_DISTANCE_MEAN_OF_LYMPHOCYTE_FROM_CARCINOMA_CELL",
    "CROSS_G_LYMPHOCYTE_FROM_CARCINOMA_CELL_20",
    "ENRICHMENT_LOG2FC_LYMPHOCYTE_AROUND_CARCINOMA_CELL",
    "ENRICHMENT_LOG2FC_LYMPHOCYTE_AROUND_LYMPHOCYTE",
    "CONTACT_FRACTION_LYMPHOCYTE_LYMPHOCYTE",
    "CONTACT_LOG_ODDS_LYMPHOCYTE_LYMPHOCYTE",
    "CROSS_L_LYMPHOCYTE_LYMPHOCYTE_20",
    "CROSS_L_LYMPHOCYTE_LYMPHOCYTE_100",
    "ENRICHMENT_IN_TISSUE_LOG2_CARCINOMA_CELL_LYMPHOCYTE_40",
    "PAIR_CORRELATION_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_50_100",
    "RING_ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_LYMPHOCYTE_200_350",
    "L_IN_TISSUE_LYMPHOCYTE_LYMPHOCYTE_500",
    "HETEROGENEITY_CV_LYMPHOCYTE_250",
    "HETEROGENEITY_CV2_EXCESS_LYMPHOCYTE_250",
    "HETEROGENEITY_MORISITA_LYMPHOCYTE_500",
    "HETEROGENEITY_MORISITA_LYMPHOCYTE_1000",
    "MORANS_I_LYMPHOCYTE",
    "CLARK_EVANS_LYMPHOCYTE",
    "COLOCALIZATION_MORISITA_CARCINOMA_CELL_LYMPHOCYTE",
    "CELL_DENSITY_LYMPHOCYTE_AT_BORDER_OUT_20_50",
)


def at_random(rng: np.random.Generator, side_um: float, per_mm2: float) -> np.ndarray:
    return rng.uniform(0, side_um, (2, rng.poisson(per_mm2 * (side_um / 1000) ** 2)))


def in_clusters(rng: np.random.Generator, side_um: float) -> np.ndarray:
    """A Thomas process; parents outside the slide have children inside it."""
    reach_um, sd_um = 250.0, 50.0
    parents = at_random(rng, side_um + 2 * reach_um, 10.0) - reach_um
    children = rng.poisson(20, parents.shape[1])
    points = np.repeat(parents, children, axis=1) + rng.normal(0, sd_um, (2, children.sum()))
    return points[:, ((points >= 0) & (points < side_um)).all(axis=0)]


def stripes(side_um: float) -> Tissue:
    n = round(side_um / MPP)
    code = [TISSUE_CLASSES.index(name) + 1 for name in ("CARCINOMA", "STROMA")]
    row = np.where((np.arange(n) * MPP // 1000) % 2 == 0, code[0], code[1]).astype(np.uint8)
    return Tissue.of(ClassMap(np.tile(row, (n, 1)), MPP, TISSUE_CLASSES))


def patches(rng: np.random.Generator, side_um: float) -> Tissue:
    """Where noise, blurred by 60 um, is above its mean, there is carcinoma."""
    n, margin = round(side_um / MPP), 30
    noise = ndimage.gaussian_filter(rng.normal(size=(n + 2 * margin,) * 2), 60.0 / MPP)
    code = [TISSUE_CLASSES.index(name) + 1 for name in ("CARCINOMA", "STROMA")]
    array = np.where(noise[margin:-margin, margin:-margin] > 0, code[0], code[1]).astype(np.uint8)
    return Tissue.of(ClassMap(array, MPP, TISSUE_CLASSES))


def cells_of(rng: np.random.Generator, side_um: float, process: str) -> pa.Table:
    clusters = in_clusters(rng, side_um) if process == "thomas" else at_random(rng, side_um, 200.0)
    points = {
        "lymphocyte": clusters,
        "carcinoma_cell": at_random(rng, side_um, 300.0),
        "fibroblast": at_random(rng, side_um, 300.0),
    }
    x, y = np.concatenate(list(points.values()), axis=1)
    names = np.repeat(list(points), [each.shape[1] for each in points.values()])
    area = rng.gamma(9.0, 4.0, len(x))
    return pa.table({"x_um": x, "y_um": y, "class": names.tolist(), "area_um2": area})


def simulate(given: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Value, low and high of every metric that can have an interval, (slides, 3, metrics)."""
    side_um = given.side * 1000
    tissue = stripes(side_um)
    families = tuple(name for name in given.families or FAMILIES if FAMILIES[name].block_sums)
    config = MetricsConfig(families=families, block_um=given.block)
    tables = []
    for seed in range(given.slides):
        rng = np.random.default_rng(seed)
        tissue = patches(rng, side_um) if given.tissue == "patches" else tissue
        table = measure(tissue, cells_of(rng, side_um, given.process), config=config, workers=1)
        tables.append([table[column].to_numpy() for column in ("value", "low", "high")])
    return table["name"].to_pylist(), np.array(tables, np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slides", type=int, default=300)
    parser.add_argument("--side", type=float, default=4.0)
    parser.add_argument("--block", type=int, default=500)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES))
    parser.add_argument("--process", choices=("csr", "thomas"), default="thomas")
    parser.add_argument("--tissue", choices=("stripes", "patches"), default="stripes")
    given = parser.parse_args()
    start = time.process_time()
    names, numbers = simulate(given)
    value, low, high = numbers.swapaxes(0, 1)
    told = (np.isfinite(low).mean(axis=0) >= 0.9) & (np.nanstd(value, axis=0) > 0)
    if given.tissue == "patches":
        told &= np.array([find_metric(name).template.unit not in ("cells", "glands") for name in names])
    truth = np.nanmean(np.where(told, value, 0), axis=0)
    known = np.isfinite(low)
    covered = np.sum(known & (low <= truth) & (truth <= high), axis=0) / np.maximum(known.sum(axis=0), 1)
    print(
        f"{given.process}, {given.tissue}, {given.slides} slides of {given.side:g} mm,",
        f"blocks of {given.block} um",
        end=", ",
    )
    print(f"{time.process_time() - start:.0f} s CPU")
    by_family = defaultdict(list)
    for name, share, kept in zip(names, 100 * covered, told, strict=True):
        if kept:
            by_family[find_metric(name).family].append(share)
    for family, shares in by_family.items():
        low5, middle, high95 = np.percentile(shares, (5, 50, 95))
        print(f"  {family:<24} {len(shares):>5} metrics: {middle:5.1f} % ({low5:.1f} to {high95:.1f})")
    for name in NAMED:
        if name in names and told[names.index(name)]:
            print(f"    {name:<62} {100 * covered[names.index(name)]:5.1f} %")


if __name__ == "__main__":
    main()
