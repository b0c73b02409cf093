"""Markers and classes of drawn nuclei whose stain is known."""

import numpy as np
import pytest
import shapely

from histome.datasets.fields import load_fields
from histome.errors import UsageError
from histome.slide.plain import array_slide
from histome.slide.stain import DAB_RGB_OD, HEMATOXYLIN_RGB_OD, unmixing
from histome.validation.panel import MarkerReading, Panel, call_classes, measure_markers, read_panel
from histome.validation.panel.calls import panel_sections
from histome.validation.panel.declared import CHROMOGENS
from histome.validation.panel.written import write_training_fields

MPP = 0.5
PANEL = """
[markers.CD3]
stain = "first"
[markers.CD138]
stain = "second"
where = "cytoplasm"
[markers.PAX]
stain = "second"
chromogen = "FAST_RED"
where = "nucleus"
[classes.lymphocyte]
positive = ["CD3"]
negative = ["CD138"]
[classes.plasma_cell]
positive = ["CD138"]
[classes.carcinoma_cell]
positive = ["PAX"]
negative = ["CD138"]
"""


@pytest.fixture
def panel(tmp_path):
    (tmp_path / "panel.toml").write_text(PANEL)
    return read_panel(tmp_path / "panel.toml")


def picture(side, at, stained):
    """Nuclei of 4 um radius in hematoxylin; `stained`: rows of x, y, (inner, outer radius) um, stain, OD."""
    y, x = (np.mgrid[:side, :side] + 0.5) * MPP
    density = np.zeros((side, side, 3))
    unit = lambda v: np.array(v) / np.linalg.norm(v)  # noqa: E731
    for a, b in at:
        density[np.hypot(x - a, y - b) < 4] = 0.4 * unit(HEMATOXYLIN_RGB_OD)
    for (a, b), (inner, outer), stain, od in stained:
        away = np.hypot(x - a, y - b)
        density[(away >= inner) & (away < outer)] += od * unit(stain)
    return np.round(255 * 10.0**-density).astype(np.uint8)


def test_a_density_is_found_again():
    density = 0.5 * np.array(DAB_RGB_OD) / np.linalg.norm(DAB_RGB_OD)
    density += 0.3 * np.array(CHROMOGENS["FAST_RED"]) / np.linalg.norm(CHROMOGENS["FAST_RED"])
    found = density @ unmixing(HEMATOXYLIN_RGB_OD, DAB_RGB_OD, CHROMOGENS["FAST_RED"])
    np.testing.assert_allclose(found, [0, 0.5, 0.3], atol=1e-6)


def test_compartments_hold_what_lies_in_them(panel):
    """Two nuclei 10 um apart: a ring of DAB belongs to one of them; red in a nucleus is not in its ring."""
    at = [(60.0, 60.0), (70.0, 60.0), (60.0, 100.0), (150.0, 150.0)]
    rgb = picture(
        400,
        at[:3],
        [
            (at[0], (4, 7), DAB_RGB_OD, 0.6),
            (at[2], (0, 4), CHROMOGENS["FAST_RED"], 0.5),
        ],
    )
    outlines = shapely.buffer(shapely.points(at), 4.0)
    with array_slide(rgb, MPP) as slide:
        found = measure_markers(slide, outlines, panel, "second")
    ring, nucleus = found["CD138"], found["PAX"]
    assert ring.od[0] == pytest.approx(0.6, abs=0.05)
    assert ring.share[0] > 0.95
    # What of the first one's ring is nearer to the neighbor is the neighbor's.
    assert ring.share[1] < 0.25
    assert np.abs(ring.od[2]) < 0.02
    assert nucleus.od[2] == pytest.approx(0.5, abs=0.03)
    assert np.abs(nucleus.od[:2]).max() < 0.05
    assert ring.lost.tolist() == nucleus.lost.tolist() == [False, False, False, True]
    assert np.isnan(ring.od[3])


def test_blocks_do_not_show(panel):
    """Nuclei on the border of two blocks are read as anywhere else."""
    at = [(float(x), 40.0) for x in range(470, 540, 14)]
    rgb = picture(1200, at, [(place, (4, 7), DAB_RGB_OD, 0.4) for place in at])
    with array_slide(rgb, MPP) as slide:
        found = measure_markers(slide, shapely.buffer(shapely.points(at), 4.0), panel, "first")
    np.testing.assert_allclose(found["CD3"].od, 0.4, atol=0.04)


def reading(*shares):
    share = np.array(shares, np.float32)
    return MarkerReading(share, share, np.isnan(share))


def test_rules_conflicts_and_what_was_lost(panel):
    nan = np.nan
    found = {
        "CD3": reading(1, 0, 0, 1, 0, nan, nan, 1),
        "CD138": reading(0, 1, 0, 0, 0, 0, 1, nan),
        "PAX": reading(0, 0, 1, 1, 0, 0, 0, 0),
    }
    calls = call_classes(found, panel)
    said = ["lymphocyte", "plasma_cell", "carcinoma_cell", "", "", "", "plasma_cell", ""]
    assert calls.label.tolist() == said
    # Lost CD3 may be a lymphocyte; with CD138 it is none. Lost CD138 beside CD3 decides between two.
    assert calls.why.tolist() == ["", "", "", "conflict", "no class", "lost", "", "lost"]
    classes, markers, conflicts = panel_sections(calls, found, panel)
    assert [row["nuclei"] for row in classes.rows] == [1, 2, 1, 2 - 1, 1, 2]
    assert conflicts.rows == [{"markers": "CD3 + PAX", "nuclei": 1}]
    assert [(row["marker"], row["positive"], row["lost"]) for row in markers.rows] == [
        ("CD3", 2 + 1, 2),
        ("CD138", 2, 1),
        ("PAX", 2, 0),
    ]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('positive = ["CD3"]', 'positive = ["CD4"]', "no marker CD4"),
        ('negative = ["CD138"]', 'negative = ["CD138", "CD3", "PAX"]', "positive and negative"),
        ("[classes.lymphocyte]", "[classes.t_cell]", "t_cell"),
        ('"FAST_RED"', '"BROWN"', "BROWN"),
        ("[markers.CD3]", "[markers.CD3]\nabove = 1", "above"),
        ('stain = "first"', 'stain = "second"\nchromogen = "AEC"', "two chromogens"),
    ],
)
def test_a_wrong_panel_is_one_line(tmp_path, old, new, word):
    (tmp_path / "p.toml").write_text(PANEL.replace(old, new))
    with pytest.raises(UsageError, match=word) as told:
        read_panel(tmp_path / "p.toml")
    assert "\n" not in str(told.value)
    assert isinstance(told.value, UsageError)


def test_stains_in_the_order_of_the_file(panel):
    assert isinstance(panel, Panel)
    assert panel.stains == ("first", "second")
    assert list(panel.of_stain("second")) == ["CD138", "PAX"]


def test_a_nucleus_without_a_pixel_in_a_field_is_not_in_its_table(tmp_path):
    """One touches the field's border, one lies below another."""
    slide = array_slide(np.full((600, 600, 3), 230, np.uint8), mpp=MPP)
    discs = shapely.buffer(shapely.points([(100.0, 100.0), (260.0, 50.0), (200.0, 200.0), (200.0, 200.0)]), 4)
    labels = np.array(["lymphocyte"] * 4)
    assert write_training_fields(tmp_path, slide, discs, labels, fields=1) == 1
    (field,) = load_fields(tmp_path, "mine")
    assert field.unseen == 0
    assert (field.sets > 0).sum() == 2
