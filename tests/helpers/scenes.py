"""Small scenes with known geometry for the tests of metrics."""

import numpy as np
from helpers.cells import cell_table

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import measure_specimen
from histome.metrics.specimen import cells_as_arrays, counted_specimen
from histome.slide.maps import ClassMap

CODE = {name: k + 1 for k, name in enumerate(TISSUE_CLASSES)}


def one_tissue(shape_px=(500, 500), mpp=2.0, name="STROMA"):
    """A rectangle of one tissue."""
    return ClassMap(np.full(shape_px, CODE[name], np.uint8), mpp, TISSUE_CLASSES)


def measure_maps(quality, tissue, regions, cells, config=None, *, facts=None, workers=1):
    """Measure cells on maps alone: regions may be unknown, which in a `Tissue` they are not."""
    maps = make_tissue_maps(tissue, quality=quality, regions=regions, facts=facts, workers=workers)
    specimen = counted_specimen(maps, cells_as_arrays(cells, tissue))
    return measure_specimen(specimen, config or MetricsConfig())


def in_nucleated_tissue(cells, tissue):
    """Which cells lie where cells are counted."""
    codes = tissue.at(cells["x_um"].to_numpy(), cells["y_um"].to_numpy())
    return np.isin(codes, [CODE[name] for name in NUCLEATED_TISSUES])


def random_cells(rng, n, side_um=1000.0, **columns):
    """Cells at random in a square, all classes, with coordinates in 1/64 um so that turns are exact."""
    x, y = np.round(rng.uniform(0, side_um, (2, n)) * 64) / 64
    return cell_table(x, y, rng.integers(0, 9, n), **columns)


def patchwork(rng, shape_px=(500, 500), mpp=2.0, patch_px=50):
    """A map of random patches of all tissues and of nothing."""
    codes = rng.integers(0, 8, (shape_px[0] // patch_px + 1, shape_px[1] // patch_px + 1))
    array = np.kron(codes, np.ones((patch_px, patch_px), int))[: shape_px[0], : shape_px[1]]
    return ClassMap(array.astype(np.uint8), mpp, TISSUE_CLASSES)


def by_name(table, column="value"):
    """The metrics table as a dict."""
    return dict(zip(table["name"].to_pylist(), table[column].to_pylist(), strict=True))


def two_halves(shape_px=(500, 500), mpp=2.0, left="CARCINOMA", right="STROMA"):
    """Two half-planes of tissue that meet in the middle column."""
    array = np.full(shape_px, CODE[right], np.uint8)
    array[:, : shape_px[1] // 2] = CODE[left]
    return ClassMap(array, mpp, TISSUE_CLASSES)


def two_compartments(rng, n=12_000, side_um=3000.0):
    """Carcinoma beside stroma with classes of their own shares, drawn independently inside each."""
    tissue = two_halves((round(side_um / 2),) * 2)
    x, y = rng.uniform(0, side_um, (2, n))
    names = ["CARCINOMA_CELL", "FIBROBLAST", "LYMPHOCYTE", "MACROPHAGE"]
    left, right = (
        rng.choice(names, n, p=[0.8, 0.05, 0.05, 0.1]),
        rng.choice(names, n, p=[0.05, 0.5, 0.35, 0.1]),
    )
    return tissue, cell_table(x, y, np.where(x < side_um / 2, left, right))


def disc_of_tumor(radius_um=1000.0, side_um=3600.0, mpp=10.0):
    """A disc of carcinoma in the middle of a square of stroma."""
    n = round(side_um / mpp)
    rows, columns = np.indices((n, n)) + 0.5
    inside = np.hypot(rows - n / 2, columns - n / 2) * mpp <= radius_um
    return ClassMap(np.where(inside, CODE["CARCINOMA"], CODE["STROMA"]).astype(np.uint8), mpp, TISSUE_CLASSES)


def lattice(n, spacing_um, start_um=0.0):
    """x and y of an n x n square lattice."""
    axis = start_um + np.arange(n) * spacing_um
    return tuple(each.ravel() for each in np.meshgrid(axis, axis))


def family(name, tissue, cells, **more):
    """The metrics of one family as a dict."""
    table = measure_maps(None, tissue, None, cells, MetricsConfig(families=(name,)), workers=1, **more)
    return by_name(table)
