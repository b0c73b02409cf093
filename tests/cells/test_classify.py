"""Given nuclei: classified as those that are found, each measured in its own outline, none lost."""

import numpy as np
import pytest
import shapely
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, ground

from histome.cells import find_cells, read_cells, write_cells
from histome.cells.classify import classify_cells
from histome.cells.decode import decode, read_classes
from histome.cells.decode.decoded import DecodeSettings
from histome.cells.given import POINT_RADIUS_UM, GivenNuclei
from histome.cells.table import GIVEN_SCHEMA
from histome.cells.windows import start_search
from histome.classes import CELL_CLASSES
from histome.errors import HistomeError
from histome.store.files import NUCLEI_READ

SIZE_PX = (480, 400)
MPP = (0.5, 0.5)


def crowd(rng, *, spacing_um=14.0):
    """Ellipses on a jittered grid that never touch, all over the slide and its seams."""
    return [
        Ellipse(x + rng.uniform(-1, 1), y + rng.uniform(-1, 1), 4.5, 3.0, rng.uniform(0, 3), int(code))
        for x in np.arange(7.0, 235, spacing_um)
        for y in np.arange(7.0, 195, spacing_um)
        for code in rng.integers(0, 9, 1)
    ]


def outline_of(e, *, scale=1.0):
    """An ellipse as a polygon in px with 50 corners: not the model's 32."""
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    along, across = scale * e.a_um * np.cos(angles), scale * e.b_um * np.sin(angles)
    x = e.x_um + along * np.cos(e.turn) - across * np.sin(e.turn)
    y = e.y_um + along * np.sin(e.turn) + across * np.cos(e.turn)
    return shapely.Polygon(np.stack([x, y], axis=1) / MPP)


def given_of(outlines, ids=None, mpp=MPP):
    ids = np.array([f"n{k}" for k in range(len(outlines))] if ids is None else ids, object)
    outlines = np.array(outlines, object)
    return GivenNuclei.of_outlines("cells.geojson", outlines, mpp=mpp, ids=ids, labels=ids)


def classify(slide, given, network=None, tissue=None, **options):
    tissue = tissue or ground(slide)
    return classify_cells(
        start_search(slide, tissue.map, network or DrawnNetwork()), tissue.zones, given, **options
    )


def test_each_keeps_its_id_and_outline_and_gets_the_class_of_its_pixels():
    ellipses = crowd(np.random.default_rng(1))
    slide = draw(SIZE_PX, ellipses)
    outlines = [outline_of(e) for e in ellipses]
    table = classify(slide, given_of(outlines))
    assert table.schema.names == GIVEN_SCHEMA.names
    rows = [int(id_[1:]) for id_ in table["given_id"].to_pylist()]
    assert sorted(rows) == list(range(len(ellipses)))
    assert table["class"].to_pylist() == [CELL_CLASSES[ellipses[row].code] for row in rows]
    kept = shapely.from_wkb(table["geometry"].to_numpy())
    assert all(shapely.hausdorff_distance(kept, np.array(outlines)[rows]) <= 0.125)
    area_um2 = shapely.area(np.array(outlines)[rows]) * 0.25
    np.testing.assert_allclose(table["area_um2"].to_numpy(), area_um2, rtol=0.02)


def test_found_nuclei_given_back_are_the_same_cells(tmp_path):
    """The class head reads them as it did: same class, probabilities and stain."""
    slide = draw(SIZE_PX, crowd(np.random.default_rng(2)))
    found = find_cells(slide, ground(slide), DrawnNetwork())
    outlines = shapely.from_wkb(found["geometry"].to_numpy())
    again = classify(slide, given_of(outlines, found["cell_id"].cast("string").to_pylist()))
    order = np.argsort(
        again["given_id"].cast("int64").to_numpy()
    )  # y may differ by a rounding, and with it the row
    again = again.take(order)
    assert again["given_id"].to_pylist() == found["cell_id"].cast("string").to_pylist()
    for name in ("class", "tissue", "n_fibroblast_40um"):
        assert again[name].to_pylist() == found[name].to_pylist()
    # The table keeps fewer corners than were found: a pixel at the border more or less.
    np.testing.assert_allclose(again["x_um"].to_numpy(), found["x_um"].to_numpy(), atol=0.05)
    for name in ("area_um2", "solidity"):
        np.testing.assert_allclose(again[name].to_numpy(), found[name].to_numpy(), rtol=0.03)
    for name in ("confidence", "hematoxylin_od_mean"):
        np.testing.assert_allclose(again[name].to_numpy(), found[name].to_numpy(), rtol=0.02)
    write_cells(again, tmp_path / "cells.parquet")
    assert read_cells(tmp_path / "cells.parquet").equals(again)


def test_two_classifiers_see_identical_cells():
    slide = draw(SIZE_PX, crowd(np.random.default_rng(3)))
    given = given_of([outline_of(e) for e in crowd(np.random.default_rng(3))])

    class Other(DrawnNetwork):
        def __call__(self, image, /):
            out = super().__call__(image)
            return {**out, "logits": np.roll(out["logits"], 1, axis=1)}

    one, two = classify(slide, given), classify(slide, given, Other())
    for name in ("given_id", "geometry", "area_um2", "hematoxylin_od_mean"):
        assert one[name].to_pylist() == two[name].to_pylist()
    codes = [[CELL_CLASSES.index(name) for name in table["class"].to_pylist()] for table in (one, two)]
    assert [(code + 1) % 9 for code in codes[0]] == codes[1]


def test_of_two_that_overlap_the_smaller_one_has_the_pixels_whatever_the_order():
    slide = draw(SIZE_PX, [Ellipse(60.0, 60.0, 8.0, 8.0, code=1), Ellipse(60.0, 60.0, 3.0, 3.0, code=4)])
    outlines = [shapely.Point(120, 120).buffer(16), shapely.Point(120, 120).buffer(6)]
    network = DrawnNetwork()
    for order in ([0, 1], [1, 0]):
        table = classify(slide, given_of([outlines[k] for k in order], [str(k) for k in order]), network)
        stain = dict(
            zip(table["given_id"].to_pylist(), table["hematoxylin_od_mean"].to_pylist(), strict=True)
        )
        # Red of a nucleus' pixels tells its class: 20 and 50.
        assert stain["0"] > stain["1"]


def test_points_have_a_class_and_a_stain_and_no_shape():
    ellipses = crowd(np.random.default_rng(4))
    slide = draw(SIZE_PX, ellipses)
    points = np.array([(e.x_um / 0.5, e.y_um / 0.5) for e in ellipses])
    ids = np.arange(len(points)).astype(str).astype(object)
    given = GivenNuclei.of_points("points.csv", points, mpp=MPP, ids=ids, labels=ids)
    table = classify(slide, given)
    rows = [int(id_) for id_ in table["given_id"].to_pylist()]
    assert table["class"].to_pylist() == [CELL_CLASSES[ellipses[row].code] for row in rows]
    assert table["area_um2"].null_count == table["solidity"].null_count == len(table)
    assert table["hematoxylin_od_mean"].null_count == 0
    disc = shapely.from_wkb(table["geometry"][0].as_py())
    assert disc.area * 0.25 == pytest.approx(np.pi * POINT_RADIUS_UM**2, rel=0.02)


def test_what_lies_off_the_tissue_is_left_out_and_nothing_there_is_one_line():
    slide = draw(SIZE_PX, [Ellipse(60.0, 60.0, code=2)])
    here, far = outline_of(Ellipse(60.0, 60.0)), outline_of(Ellipse(900.0, 60.0))
    assert classify(slide, given_of([far, here]))["given_id"].to_pylist() == ["n1"]
    with pytest.raises(
        HistomeError, match=r"cells.geojson: none of its 1 nuclei lies in valid tissue of drawn"
    ):
        classify(slide, given_of([far]))


class Kept(list):
    load = list.copy
    add = list.append


def test_only_windows_with_nuclei_are_read_and_kept_parts_are_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("histome.cells.find.PART_WINDOWS", 2)
    ellipses = crowd(np.random.default_rng(5))
    slide = draw(SIZE_PX, ellipses)
    given = given_of([outline_of(e) for e in ellipses])
    seen = []

    class Counting(DrawnNetwork):
        def __call__(self, image, /):
            seen.append(1)
            return super().__call__(image)

    one = given.select(np.array([0]))
    classify(slide, one, Counting())
    assert len(seen) == 1
    kept = Kept()
    whole = classify(slide, given, Counting(), kept=kept)
    windows = len(seen) - 1
    assert len(kept) == windows // 2 > 1
    NUCLEI_READ.save(kept[0], tmp_path)
    again = Kept([NUCLEI_READ.load(tmp_path)])
    assert classify(slide, given, Counting(), kept=again, workers=2).equals(whole)
    assert len(seen) == 1 + windows + (windows - 2)


def test_a_nucleus_without_a_pixel_is_read_at_its_center():
    """In both kinds of model; a `hover` model gives given nuclei what its decoder gave found ones."""
    rng = np.random.default_rng(6)
    shares = rng.dirichlet(np.ones(10), (64, 64)).transpose(2, 0, 1).astype(np.float32)
    shares[:, 20:30, 20:34] = 0.01
    shares[4, 20:30, 20:34] = 0.91
    shares[0] = np.where(shares[4] > 0.9, 0.0, 1.0)
    hv = np.zeros((2, 64, 64), np.float32)
    hv[0, 20:30, 20:34] = np.linspace(-1, 1, 14)
    hv[1, 20:30, 20:34] = np.linspace(-1, 1, 10)[:, None]
    card = DrawnNetwork().card.model_copy(update={"task": "hover", "stride": 1, "cell_classes": CELL_CLASSES})
    maps = {"classes": shares, "hv": hv}
    found = decode("hover", maps, DecodeSettings.of(card))
    assert len(found.outlines) == 1
    outputs = {name: array[None] for name, array in maps.items()}
    centers = np.array([[27.0, 25.0], [25.5, 22.5], [500.0, -3.0]])
    logits = read_classes(card, outputs, found.labels, centers)
    np.testing.assert_array_equal(logits[0], found.logits[0])
    assert logits[1].argmax() == 3  # the class of the fifth plane, background being the first
    assert np.isfinite(logits[2]).all()
