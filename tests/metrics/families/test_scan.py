"""What the slide says about itself."""

import numpy as np
import pytest
from helpers.scenes import by_name, cell_table, one_tissue

from histome.classes import QC_CLASSES
from histome.config import MetricsConfig
from histome.metrics.families.scan import stain_vectors
from histome.metrics.measuring import measure
from histome.slide.maps import ClassMap
from histome.slide.stain import stain_matrix

SCAN = MetricsConfig(families=("scan",))
NO_CELLS = cell_table([], [], [])


def test_facts_become_metrics_and_unknown_ones_null():
    quality = ClassMap(np.full((100, 50), 5, np.uint8), 8.0, QC_CLASSES)
    facts = {"mpp_used": 0.25, "focus_score": float("nan")}
    table = measure(quality, one_tissue(), None, NO_CELLS, SCAN, facts=facts)
    found, reasons = by_name(table), by_name(table, "reason")
    assert found["MPP_USED"] == 0.25
    assert found["VALID_AREA"] == pytest.approx(5000 * 64 / 1e6)
    assert found["FOCUS_SCORE"] is None
    assert reasons["FOCUS_SCORE"] == "nowhere was there enough structure to judge"
    assert reasons["EOSIN_OD_MEAN"] == reasons["EOSIN_VECTOR_R"] == "the slide's pixels were not measured"


def test_stain_vectors_are_recovered_from_a_mixture(rng):
    amounts = rng.gamma(2, 0.4, (20_000, 2)) * (rng.random((20_000, 2)) > 0.2)
    density = amounts @ stain_matrix()[:2]
    rgb = np.clip(255 * 10**-density, 0, 255).round().astype(np.uint8)
    angles = np.degrees(np.arccos(np.sum(stain_vectors(rgb) * stain_matrix()[:2], axis=1)))
    assert (angles < 4).all()


def test_little_stain_has_no_vectors():
    assert np.isnan(stain_vectors(np.full((2000, 3), 245, np.uint8))).all()
    assert np.isnan(stain_vectors(np.empty((0, 3), np.uint8))).all()
