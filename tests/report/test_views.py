"""Views are where the rules say."""

import numpy as np
import pytest
import shapely
from helpers import profiles

from histome.classes import CELL_CLASSES
from histome.report.views import CellArrays, View, choose_views, nuclei_near

EXTENT = (2000.0, 1500.0)
SIDE = 200.0


def scatter(name: str, center: tuple[float, float], n: int, *, confidence: float = 0.9) -> CellArrays:
    rng = np.random.default_rng(n)
    xy = np.array(center) + rng.uniform(-60, 60, (n, 2))
    codes = np.full(n, CELL_CLASSES.index(name))
    return CellArrays(xy[:, 0], xy[:, 1], codes, np.full(n, confidence), np.zeros(n, bool))


def together(*parts: CellArrays) -> CellArrays:
    names = ("x_um", "y_um", "codes", "confidence", "abstained")
    return CellArrays(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def choose(cells: CellArrays, **options: object) -> dict[str, View]:
    given = {"tissue": None, "quality": None, "extent_um": EXTENT, "side_um": SIDE} | options
    found = choose_views(cells, rng=np.random.default_rng(0), **given)  # type: ignore[arg-type]
    return {view.title: view for view in found}


def center(view: View) -> tuple[float, float]:
    return view.x_um + view.width_um / 2, view.y_um + view.height_um / 2


CELLS = together(
    scatter("carcinoma_cell", (400, 400), 80),
    scatter("carcinoma_cell", (1500, 300), 40),
    scatter("lymphocyte", (1600, 1200), 90),
    scatter("fibroblast", (300, 1200), 60, confidence=0.35),
    scatter("fibroblast", (1000, 800), 60),
)


def test_each_rule_finds_its_place() -> None:
    fields = choose(CELLS)
    assert center(fields["Densest carcinoma"]) == pytest.approx((400, 400), abs=50)
    assert center(fields["Most lymphocytes"]) == pytest.approx((1600, 1200), abs=50)
    assert center(fields["Least confident"]) == pytest.approx((300, 1200), abs=110)
    assert "Carcinoma-stroma border" not in fields


def test_the_border_is_half_carcinoma_half_stroma() -> None:
    tissue = profiles.make_tissue(side_um=2000.0)
    view = choose(CELLS, tissue=tissue)["Carcinoma-stroma border"]
    assert center(view)[0] == pytest.approx(1000, abs=30)


def test_what_quality_control_refused_is_shown() -> None:
    view = choose(CELLS, quality=profiles.make_quality(side_um=2000.0))["Excluded by quality control"]
    assert view.x_um + SIDE > 2000 - 2000 / 3


def test_fields_lie_in_the_slide_and_apart() -> None:
    fields = list(choose(profiles_cells()).values())
    assert len(fields) >= 3
    boxes = [shapely.box(f.x_um, f.y_um, f.x_um + f.width_um, f.y_um + f.height_um) for f in fields]
    assert all(shapely.box(0, 0, *EXTENT).covers(box) for box in boxes)
    assert all(a.intersection(b).area == 0 for k, a in enumerate(boxes) for b in boxes[:k])


def profiles_cells() -> CellArrays:
    return CellArrays.of(profiles.make_cells(4000, side_um=1400.0))


def test_the_same_cells_in_another_order_give_the_same_fields() -> None:
    cells, order = profiles_cells(), np.random.default_rng(3).permutation(4000)
    names = ("x_um", "y_um", "codes", "confidence", "abstained")
    assert choose(cells) == choose(CellArrays(*(getattr(cells, name)[order] for name in names)))


def test_a_slide_smaller_than_a_field_is_one_field() -> None:
    fields = choose(scatter("lymphocyte", (60, 60), 30), extent_um=(120.0, 90.0))
    assert [view.title for view in fields.values()] == ["Most lymphocytes"]
    view = fields["Most lymphocytes"]
    assert (view.x_um, view.y_um, view.width_um, view.height_um) == (0, 0, 120, 90)


def test_a_few_cells_of_any_class_are_shown_when_no_rule_finds_a_field() -> None:
    fields = choose(scatter("fibroblast", (500, 500), 3))
    assert list(fields) == ["Most nuclei"]
    assert "Most nuclei" not in choose(CELLS)


def test_no_cells_no_fields() -> None:
    assert choose(CellArrays.none()) == {}


def test_nuclei_reaching_into_a_field_are_near() -> None:
    view = View("", "", 100.0, 100.0, 50.0, 50.0)
    x = np.array([99.0, 125.0, 150.0, 200.0])
    cells = CellArrays(x, np.full(4, 125.0), np.zeros(4, int), np.ones(4), np.zeros(4, bool))
    assert nuclei_near(view, cells).tolist() == [0, 1, 2]
    assert view.holds(cells.x_um, cells.y_um).tolist() == [False, True, False, False]
