"""Regions: shapes against drawn ones and scikit-image, places in level-0 px, areas in the picture."""

import numpy as np
import pytest
import shapely
import shapely.affinity
from skimage.measure import label, regionprops

from histome.classes import TISSUE_CLASSES
from histome.slide import ClassMap, Frame
from histome.tissue import find_regions, regions
from histome.tissue.regions import REGION_SCHEMA


def map_of(codes, mpp=2.0):
    return ClassMap(np.asarray(codes, np.uint8), mpp, TISSUE_CLASSES)


def drawn():
    """A disc of 100 um with a hole of 40 um, a square of 100 um, and a speck of 4 um."""
    y, x = np.mgrid[:200, :300]
    codes = np.zeros(y.shape, np.uint8)
    from_center = np.hypot(x - 80, y - 100)
    codes[(from_center <= 50) & (from_center > 20)] = 1
    codes[50:100, 200:250] = 4
    codes[180:182, 280:282] = 1
    return map_of(codes)


def test_a_ring():
    table = find_regions(drawn())
    assert table.schema.equals(REGION_SCHEMA)
    ring = next(row for row in table.to_pylist() if row["class"] == "CARCINOMA")
    assert ring["area_um2"] == pytest.approx(np.pi * (100**2 - 40**2), rel=0.01)
    assert ring["filled_area_um2"] == pytest.approx(np.pi * 100**2, rel=0.01)
    assert ring["perimeter_um"] == pytest.approx(2 * np.pi * (100 + 40), rel=0.02)
    assert ring["outer_perimeter_um"] == pytest.approx(2 * np.pi * 100, rel=0.02)
    assert ring["roundness"] == pytest.approx(1, abs=0.03)
    assert ring["bbox_area_um2"] == (101 * 2) ** 2
    assert (ring["x_um"], ring["y_um"]) == pytest.approx((161, 201))
    assert ring["eccentricity"] == pytest.approx(0, abs=0.01)


def test_regions_are_put_into_bytes_a_few_at_a_time(rng, monkeypatch):
    tissue = map_of(rng.integers(0, 4, (40, 50)))
    whole = find_regions(tissue, min_um2=0.0)
    assert len(whole) > 50
    monkeypatch.setattr(regions, "_AT_ONCE", 7)
    assert find_regions(tissue, min_um2=0.0).equals(whole, check_metadata=True)


def test_a_square():
    square = next(row for row in find_regions(drawn()).to_pylist() if row["class"] == "STROMA")
    assert square["area_um2"] == square["convex_area_um2"] == square["bbox_area_um2"] == 100**2
    assert square["solidity"] == 1
    assert square["major_axis_um"] == pytest.approx(4 * 100 / np.sqrt(12))
    assert square["minor_axis_um"] == pytest.approx(square["major_axis_um"])
    assert shapely.from_wkb(square["geometry"]).bounds == (400, 100, 500, 200)


SHAPES = {
    "square with a hole": shapely.box(0, 0, 2000, 2000).difference(shapely.box(900, 900, 1100, 1100)),
    "ellipse": shapely.affinity.scale(shapely.Point(0, 0).buffer(1, quad_segs=100), 400, 200),
    "rectangle": shapely.box(0, 0, 1500, 500),
}


@pytest.mark.parametrize("degrees", [0, 15, 37, 45])
@pytest.mark.parametrize("name", SHAPES)
def test_a_turned_shape_is_the_same_shape(name, degrees):
    region = find_regions(painted(shapely.affinity.rotate(SHAPES[name], degrees))).to_pylist()[0]
    shape = SHAPES[name]
    outer, hull = shapely.Polygon(shape.exterior), shape.convex_hull
    roundness = 4 * np.pi * outer.area / outer.length**2
    assert region["perimeter_um"] == pytest.approx(shape.length, rel=0.01)
    assert region["outer_perimeter_um"] == pytest.approx(outer.length, rel=0.01)
    assert region["roundness"] == pytest.approx(roundness, rel=0.02)
    assert region["convex_area_um2"] == pytest.approx(hull.area, rel=0.002)
    assert region["solidity"] == pytest.approx(shape.area / hull.area, rel=0.001)
    ratio = {"square with a hole": 1, "ellipse": 1 / 2, "rectangle": 1 / 3}[name]
    assert region["minor_axis_um"] / region["major_axis_um"] == pytest.approx(ratio, rel=0.005)


def painted(shape):
    """A polygon in um as carcinoma of a map at 2 um/px, where the centers of the pixels lie in it."""
    left, top, right, bottom = shape.bounds
    x, y = np.arange(left - 9, right + 9, 2.0), np.arange(top - 9, bottom + 9, 2.0)
    return map_of(shapely.contains_xy(shape, *np.meshgrid(x, y)))


def test_specks_are_no_regions():
    assert len(find_regions(drawn())) == 2
    assert len(find_regions(drawn(), min_um2=0)) == 3
    assert len(find_regions(map_of(np.zeros((10, 10))))) == 0


def test_measures_equal_scikit_image():
    rng = np.random.default_rng(3)
    coarse = np.kron(rng.integers(0, 3, (12, 14)), np.ones((9, 9), int))
    noise = rng.random(coarse.shape) < 0.05
    codes = np.where(noise, 0, coarse)
    rows = find_regions(map_of(codes, 1.0), min_um2=0).to_pylist()
    props = [p for k in (1, 2) for p in regionprops(label(codes == k, connectivity=2))]
    expected = sorted((p.area, p.axis_major_length, p.eccentricity) for p in props)
    found = sorted((r["area_um2"], r["major_axis_um"], r["eccentricity"]) for r in rows)
    # scikit-image leaves out the second moment of a pixel about its center: small regions differ there.
    large = [k for k, row in enumerate(expected) if row[0] > 50]
    np.testing.assert_allclose(np.array(found)[:, 0], np.array(expected)[:, 0])
    np.testing.assert_allclose(np.array(found)[large], np.array(expected)[large], rtol=0.01, atol=0.01)


def test_areas_and_polygons_agree_and_a_quarter_turn_changes_nothing():
    rng = np.random.default_rng(5)
    codes = np.kron(rng.integers(0, 8, (15, 20)), np.ones((8, 8), int))
    table, turned = find_regions(map_of(codes)), find_regions(map_of(np.rot90(codes)))
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    np.testing.assert_array_equal(shapely.area(polygons), table["area_um2"].to_numpy())
    assert shapely.is_valid(polygons).all()
    for name in (
        field.name for field in REGION_SCHEMA if field.name.endswith(("_um2", "_axis_um", "ness", "ity"))
    ):
        np.testing.assert_allclose(
            np.sort(turned[name].to_numpy()), np.sort(table[name].to_numpy()), rtol=1e-6
        )


def test_regions_of_a_part_lie_where_they_lay():
    array = np.zeros((60, 80), np.uint8)
    array[20:40, 30:55] = 1
    whole = ClassMap(array, 2.0, TISSUE_CLASSES)
    parts = [find_regions(tissue).to_pylist() for tissue in (whole, whole.crop(25, 15, 50, 40))]
    assert parts[0] == parts[1]


def odd(rng):
    """A picture of 101.5 x 61.25 um in oblong pixels; a map of 2 um, the last row and column cut."""
    frame = Frame("odd", (203, 175), (0.5, 0.35))
    codes = np.kron(rng.integers(0, 4, (8, 13)), np.ones((4, 4), int))[:31, :51]
    return ClassMap(codes.astype(np.uint8), 2.0, TISSUE_CLASSES, frame=frame)


def test_places_are_level_0_px_and_areas_those_in_the_picture(rng):
    tissue = odd(rng)
    table = find_regions(tissue, min_um2=0)
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    assert shapely.is_valid(polygons).all()
    np.testing.assert_allclose(shapely.area(polygons) * 0.5 * 0.35, table["area_um2"].to_numpy())
    left, top, right, bottom = shapely.total_bounds(polygons)
    assert (left, top) >= (0, 0)
    assert (right, bottom) == (203, 175)
    for axis, mpp in (("x", 0.5), ("y", 0.35)):
        np.testing.assert_allclose(table[axis].to_numpy() * mpp, table[f"{axis}_um"].to_numpy())
    middle = table.filter(np.array(table["solidity"].to_pylist()) == 1)
    inside = shapely.contains_xy(
        shapely.from_wkb(middle["geometry"].to_numpy()), middle["x"].to_numpy(), middle["y"].to_numpy()
    )
    assert inside.all()
    assert len(inside) > 5
    for larger in ("filled_area_um2", "convex_area_um2", "bbox_area_um2"):
        assert (table[larger].to_numpy() >= table["area_um2"].to_numpy() - 1e-9).all()
    for name in set(table["class"].to_pylist()):
        rows = [row["area_um2"] for row in table.to_pylist() if row["class"] == name]
        assert sum(rows) == pytest.approx(tissue.area_um2(name))


def test_a_region_of_the_whole_picture_is_the_picture():
    codes = np.full((31, 51), 4, np.uint8)
    frame = Frame("whole", (203, 175), (0.5, 0.35))
    row = find_regions(ClassMap(codes, 2.0, TISSUE_CLASSES, frame=frame)).to_pylist()[0]
    exact = 101.5 * 61.25
    for name in ("area_um2", "filled_area_um2", "convex_area_um2", "bbox_area_um2"):
        assert row[name] == pytest.approx(exact, rel=1e-6)
    assert row["solidity"] == pytest.approx(1)
    assert row["slide"] == "whole"
    assert row["bbox"] == {"xmin": 0, "ymin": 0, "xmax": 203, "ymax": 175}


def test_every_column_says_its_unit(rng):
    for field in find_regions(odd(rng)).schema:
        assert set(field.metadata) == {b"unit", b"description"}
        assert field.metadata[b"description"]
