"""Where they are installed, esda, pointpats and squidpy give the same numbers; scipy does."""

import numpy as np
import pandas as pd
import pytest
from helpers.cells import cell_table
from helpers.scenes import family, one_tissue
from scipy.stats import false_discovery_control

from histome.classes import CELL_CLASSES
from histome.metrics.families.patterns.clustering import getis_ord, morans_i
from histome.metrics.uncertainty.significance import benjamini_hochberg

# What they warn of at import and in use is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def field(rng):
    """A smooth positive field on a lattice with holes, and the queen neighbors of its tiles."""
    values = np.cumsum(np.cumsum(rng.normal(0, 1, (9, 11)), axis=0), axis=1)
    used = rng.random((9, 11)) > 0.2
    places = {tuple(place): k for k, place in enumerate(np.argwhere(used))}
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    neighbors = {
        k: [places[r + a, c + b] for a, b in steps if (r + a, c + b) in places]
        for (r, c), k in places.items()
    }
    return values - values.min() + 1, used, neighbors


def test_morans_i_and_hot_spots_equal_esda(field):
    esda, weights = pytest.importorskip("esda"), pytest.importorskip("libpysal").weights
    values, used, neighbors = field
    w = weights.W(neighbors, silence_warnings=True)
    assert morans_i(values, used) == pytest.approx(esda.Moran(values[used], w, "b", permutations=0).I)
    local = esda.G_Local(values[used], w, transform="B", star=True, permutations=0)
    assert np.allclose(getis_ord(values, used), local.Zs)


def test_nearest_distances_equal_pointpats(rng):
    pointpats = pytest.importorskip("pointpats")
    x, y = rng.uniform(0, 1000, (2, 500))
    found = family("nearest-distances", one_tissue(), cell_table(x, y, "OTHER"))
    expected = pointpats.PointPattern(np.column_stack([x, y])).mean_nnd
    assert found["NN_DISTANCE_MEAN_OF_OTHER_FROM_OTHER"] == pytest.approx(expected)


def test_cross_g_equals_pointpats_where_nothing_is_cut_off(rng):
    pointpats = pytest.importorskip("pointpats")
    x, y = rng.uniform(0, 1000, (2, 700))
    found = family("cross-g", one_tissue(), cell_table(x, y, "OTHER"))
    # Its shares are of what lies within the support.
    _, share = pointpats.g(np.column_stack([x, y]), support=np.array([0.0, 20.0, 1e6]))
    assert found["CROSS_G_OTHER_FROM_OTHER_20"] == pytest.approx(share[1])


def test_q_equals_scipys(rng):
    p = rng.random(200) ** 3
    assert np.allclose(benjamini_hochberg(p), false_discovery_control(p), rtol=1e-12)


def test_enrichment_is_the_limit_of_squidpys(rng):
    anndata, squidpy = pytest.importorskip("anndata"), pytest.importorskip("squidpy")
    n = 800
    x, y = rng.uniform(0, 500, (2, n))
    label = np.where((x < 200) & (rng.random(n) < 0.5), 5, rng.integers(0, 9, n))
    data = anndata.AnnData(np.zeros((n, 1), np.float32), obsm={"spatial": np.column_stack([x, y])})
    data.obs["class"] = pd.Categorical(np.array(CELL_CLASSES)[label], categories=CELL_CLASSES)
    squidpy.gr.spatial_neighbors(data, coord_type="generic", radius=40.0)
    squidpy.gr.nhood_enrichment(
        data, cluster_key="class", n_perms=2000, seed=0, show_progress_bar=False, n_jobs=1
    )
    expected = data.uns["class_nhood_enrichment"]["zscore"]
    found = family("enrichment", one_tissue(), cell_table(x, y, label))
    for a, center in enumerate(CELL_CLASSES):
        for b, neighbor in enumerate(CELL_CLASSES):
            name = f"ENRICHMENT_Z_{neighbor.upper()}_AROUND_{center.upper()}"
            assert found[name] == pytest.approx(expected[a, b], abs=0.4, rel=0.05), name
