"""What the slide says about itself."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, measure_maps, one_tissue

from histome.classes import QC_CLASSES
from histome.config import MetricsConfig
from histome.metrics import measure
from histome.qc import Quality
from histome.qc.stain import Stain
from histome.slide.maps import ClassMap
from histome.tissue import Tissue

SCAN = MetricsConfig(families=("scan",))
NO_CELLS = cell_table([], [], [])


def test_facts_become_metrics_and_unknown_ones_null():
    quality = ClassMap(np.full((100, 50), 5, np.uint8), 8.0, QC_CLASSES)
    facts = {"mpp_used": 0.25, "focus_score": float("nan")}
    table = measure_maps(quality, one_tissue(), None, NO_CELLS, SCAN, facts=facts)
    found, reasons = by_name(table), by_name(table, "reason")
    assert found["MPP_USED"] == 0.25
    assert found["VALID_AREA"] == pytest.approx(5000 * 64 / 1e6)
    assert found["FOCUS_SCORE"] is None
    assert reasons["FOCUS_SCORE"] == "nowhere was there enough structure to judge"
    assert reasons["EOSIN_OD_MEAN"] == reasons["EOSIN_VECTOR_R"] == "the slide's pixels were not measured"


def test_what_quality_control_measured_is_told():
    """A profile's parts are all that is needed: no pixels."""
    codes = np.full((50, 25), 5, np.uint8)
    quality = Quality(
        map=ClassMap(codes, 8.0, QC_CLASSES),
        focus=np.array([[1.0, 2.0, np.nan, 4.0]], np.float32),
        fragments=np.array([[0, 1, 3]], np.uint16),
        background_rgb=(240.0, 241.0, 245.0),
        background_seen=True,
        tissue_density=0.5,
        extent_um=(200.0, 400.0),
        mpp=(0.25, 0.36),
        stain=Stain(0.3, 0.2, (0.6, 0.7, 0.3), (0.1, 0.9, 0.2)),
    )
    found = by_name(measure(Tissue.of(one_tissue((50, 25), 8.0)), NO_CELLS, quality, SCAN))
    assert found["MPP_USED"] == pytest.approx(0.3)
    assert found["SCAN_AREA"] == pytest.approx(0.08)
    assert (found["TISSUE_FRAGMENT_COUNT"], found["FOCUS_SCORE"], found["BACKGROUND_LEVEL"]) == (3, 2, 242)
    assert (found["HEMATOXYLIN_VECTOR_G"], found["EOSIN_VECTOR_B"], found["EOSIN_OD_MEAN"]) == (0.7, 0.2, 0.2)
    assert found["VALID_AREA"] == pytest.approx(codes.size * 64 / 1e6)
