"""Decoding of HV maps: the faults of the published route (spec 50, section 10) are met and left out."""

import cv2
import numpy as np
import pytest
import shapely
from helpers.drawn_hover import DrawnHoverNetwork, ellipse, hover_card, perfect_maps
from helpers.drawn_nuclei import Ellipse, draw, drawn_card, ground
from scipy import ndimage

from histome.cells import find_cells
from histome.cells.decode import DecodeSettings, decode
from histome.cells.decode.hover import falls, instances, upsample
from histome.cells.decode.outlined import even_outlines, log_shares
from histome.cells.shape import measure_shapes
from histome.classes import CELL_CLASSES, PANNUKE_CELLS
from histome.models.card import Card, Thresholds

skimage_segmentation = pytest.importorskip("skimage.segmentation")
skimage_feature = pytest.importorskip("skimage.feature")
SIDE = (160, 160)


def published(inside, hv):
    """The published way: Sobel energy, seeds from it and the ridge of the distance transform, watershed."""
    energy = 1 - np.maximum(np.abs(ndimage.sobel(hv[0], 1)), np.abs(ndimage.sobel(hv[1], 0))) / 8
    depth = ndimage.distance_transform_edt(inside) * np.clip(energy, 0, 1)
    seeds = np.zeros(inside.shape, int)
    peaks = skimage_feature.peak_local_max(depth, min_distance=5, labels=inside.astype(int))
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return skimage_segmentation.watershed(-depth, seeds, mask=inside, compactness=0.01)


def read(classes, hv, *, mpp=0.25, **cuts):
    settings = DecodeSettings(mpp, Thresholds(**cuts), cell_classes=PANNUKE_CELLS)
    return decode("hover", {"classes": classes, "hv": hv}, settings)


def found(labels, *, mpp=0.25, **cuts):
    return read(*perfect_maps(labels), mpp=mpp, **cuts)


def shares_of(nuclei):
    """(n, 5) shares of the drawn classes."""
    return np.exp(nuclei.logits[:, [CELL_CLASSES.index(name) for name in PANNUKE_CELLS]])


def test_a_perfect_spindle_is_one_instance():
    spindle = np.zeros(SIDE, np.int32)
    spindle[60:74, 40:100] = 1  # 60 x 14 px, its ends rounded
    spindle &= ellipse(SIDE, 70, 67, 33, 12).astype(np.int32)
    _, hv = perfect_maps(spindle)
    assert published(spindle > 0, hv).max() >= 2
    nuclei = found(spindle)
    assert len(nuclei.outlines) == 1
    assert (nuclei.labels > 0).sum() == pytest.approx((spindle > 0).sum(), rel=0.03)


@pytest.mark.parametrize("degrees", [0, 30, 45])
@pytest.mark.parametrize("half_width_px", [8, 10, 14])  # 4, 5, 7 um wide at 0.25 um/px
@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_ellipses_stay_whole(degrees, half_width_px, mpp):
    b = half_width_px * 0.25 / mpp
    labels = ellipse(SIDE, 80, 80, 4 * b, b, degrees).astype(np.int32)
    classes, hv = perfect_maps(labels, unit_px=2.97 / mpp)
    outlines = read(classes, hv, mpp=mpp).outlines
    assert len(outlines) == 1
    assert shapely.area(shapely.polygons(outlines))[0] == pytest.approx(labels.sum(), rel=0.03)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_touching_round_nuclei_stay_apart(degrees):
    apart = 11 * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    labels = ellipse(SIDE, *(80 + apart), 12, 12).astype(np.int32)
    labels[ellipse(SIDE, *(80 - apart), 12, 12) & (labels == 0)] = 2
    assert ndimage.label(labels > 0)[1] == 1  # one component: without HV maps they are one
    nuclei = found(labels)
    assert len(nuclei.outlines) == 2
    agreed = max((nuclei.labels == k).astype(int)[labels == 1].sum() for k in (1, 2))
    assert agreed > 0.95 * (labels == 1).sum()


def test_a_gap_in_a_border_joins_no_nuclei():
    labels = np.zeros(SIDE, np.int32)
    labels[60:100, 40:80], labels[60:100, 80:120] = 1, 2
    _, hv = perfect_maps(labels)
    hv[0, 78:84, 70:90] = np.linspace(1, -1, 20)  # over a sixth of the border the map falls slowly
    cut = {"mpp": 0.25, "split_per_um": 0.5}
    assert ndimage.label((labels > 0) & (falls(labels > 0, hv) / 0.25 < 0.5))[1] == 1  # a cut leaks through
    assert instances(labels > 0, hv, **cut).max() == 2


def test_a_nucleus_own_rim_is_no_fall():
    labels = ellipse(SIDE, 80, 80, 20, 8).astype(np.int32)
    _, hv = perfect_maps(labels)
    assert falls(labels > 0, hv).max() == 0
    assert np.abs(ndimage.sobel(hv[0], 1))[labels > 0].max() > 1  # an ordinary Sobel filter sees it


@pytest.mark.slow
def test_noise_and_blur_lose_few_nuclei():
    rng = np.random.default_rng(0)
    labels = np.zeros((400, 400), np.int32)
    for k in range(1, 121):
        x, y = rng.uniform(15, 385, 2)
        new = ellipse(labels.shape, x, y, rng.uniform(6, 12), rng.uniform(4, 6), rng.uniform(0, 180))
        labels[new & (labels == 0)] = k
    classes, hv = perfect_maps(labels, unit_px=6)
    noisy = hv + rng.normal(0, 0.1, hv.shape).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in noisy])
    outlines = read(classes, blurred, mpp=0.5).outlines
    there = (np.bincount(labels.ravel())[1:] >= 32).sum()
    assert abs(len(outlines) - there) <= 0.08 * there


def test_the_class_is_that_of_the_summed_probability():
    labels = ellipse(SIDE, 80, 80, 12, 12).astype(np.int32)
    classes, hv = perfect_maps(labels)
    half = np.arange(SIDE[1]) < 82
    # Left a narrow 1 over 2, right a clear 2: most pixels have 1 on top, the sum says 2.
    for k, (left, right) in enumerate([(0.51, 0.05), (0.49, 0.95)], start=1):
        classes[k] = np.where(half, left, right) * (labels > 0)
    votes = classes[1:].argmax(0)[labels > 0]
    assert np.bincount(votes).argmax() == 0  # the published way, majority of the pixels
    nuclei = read(classes, hv)
    assert shares_of(nuclei)[0].argmax() == 1
    assert shares_of(nuclei)[0].sum() == pytest.approx(1)
    assert nuclei.scores[0] == pytest.approx(1, abs=0.02)


def test_cleaning_changes_no_class():
    """Of a row of classes 1, 5, 2 that touch, a gray-level opening makes class 5 to its neighbors'."""
    labels = np.zeros((60, 120), np.int32)
    for k, x in enumerate((20, 60, 100), start=1):
        labels[10:50, x - 20 : x + 20] = k
    codes = np.array([0, 1, 5, 2])
    gray = ndimage.grey_opening(codes[labels], size=(45, 45))
    assert (gray[labels == 2] != 5).all()
    classes, hv = perfect_maps(labels, codes=codes)
    classes[:, 29:31, 59:61] = np.eye(6)[0][:, None, None]  # and a hole
    nuclei = read(classes, hv)
    assert (shares_of(nuclei).argmax(1) + 1).tolist() == [1, 5, 2]
    assert nuclei.labels[30, 60] == nuclei.labels[30, 50] > 0  # the hole is filled with its own nucleus


def test_ids_do_not_wrap():
    side = 270
    labels = np.zeros((4 * side, 4 * side), np.int32)
    block = np.arange(1, side**2 + 1).reshape(side, side)
    labels[:] = np.kron(block, np.array([[1, 1, 1, 0]] * 3 + [[0] * 4]))
    assert labels.max() == 72_900
    assert labels.astype(np.uint16).max() <= 65_535  # the published way: two nuclei share an id
    inside = labels > 0
    ids = instances(inside, np.zeros((2, *labels.shape), np.float32), mpp=1.0, split_per_um=0.25)
    assert ids.dtype == np.int32
    assert ids.max() == 72_900
    assert len(even_outlines(ids, 8)) == 72_900


def test_sizes_are_in_um2():
    labels = ellipse(SIDE, 80, 80, 6, 6).astype(np.int32)  # 113 px: 7.1 um2 at 0.25, 28 um2 at 0.5 um/px
    assert len(found(labels, mpp=0.25, min_area_um2=10.0).outlines) == 0
    assert len(found(labels, mpp=0.5, min_area_um2=10.0).outlines) == 1


def test_outlines_are_true_to_area_and_turn_one_way():
    labels = np.zeros(SIDE, np.int32)
    labels[ellipse(SIDE, 40, 40, 15, 10, 30)] = 1
    labels[100:110, 20:140] = 2
    labels[100:140, 100:110] = 2  # a hook
    labels[130:131, 20:22] = 3
    outlines = even_outlines(labels, 32)
    assert outlines.shape == (3, 32, 2)
    polygons = shapely.polygons(outlines)
    assert shapely.is_valid(polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
    for k, polygon in enumerate(polygons[:2], start=1):
        assert shapely.area(polygon) == pytest.approx((labels == k).sum(), rel=0.06)
    assert np.abs(shapely.get_coordinates(shapely.centroid(polygons[0])) - 40).max() < 0.1
    areas = measure_shapes(outlines).area_um2[:2]
    np.testing.assert_allclose(areas, [(labels == k).sum() for k in (1, 2)], rtol=0.06)


def test_an_empty_window_has_nothing():
    outlines, scores, logits, labels = found(np.zeros((64, 64), np.int32))
    assert (outlines.shape, scores.shape, logits.shape) == ((0, 32, 2), (0,), (0, 9))
    assert labels.max() == 0


def test_classes_that_count_as_one_are_added_up():
    shares = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]])
    logits = log_shares(shares, ("lymphocyte", "other", "lymphocyte"))
    summed = np.exp(logits[:, [CELL_CLASSES.index(name) for name in ("lymphocyte", "other")]])
    np.testing.assert_allclose(summed, [[0.7, 0.3], [0.0, 1.0]], atol=1e-8)
    assert np.isfinite(logits).all()


def test_upsampling_keeps_centers():
    ramp = np.tile(np.arange(8, dtype=np.float32) * 2 + 1, (1, 8, 1))  # value = x of the center, input px
    fine = upsample(ramp, 2)
    assert fine.shape == (1, 16, 16)
    assert np.allclose(fine[0, :, 2:-2], np.arange(16)[2:-2] + 0.5)


CELLS_UM = [(30, 30, "carcinoma_cell"), (80, 60, "lymphocyte"), (140, 100, "fibroblast"), (200, 40, "other")]


def cells_of(windows_px, halo_px=48):
    ellipses = [Ellipse(x, y, 5, 3, 0.5, CELL_CLASSES.index(name)) for x, y, name in CELLS_UM]
    slide = draw((500, 260), ellipses)
    network = DrawnHoverNetwork(hover_card(window_px=windows_px, halo_px=halo_px))
    return find_cells(slide, ground(slide), network)


def test_a_hover_model_fills_the_cells_table():
    cells = cells_of(256)
    by_x = sorted(zip(cells["x_um"].to_pylist(), cells["class"].to_pylist(), strict=True))
    assert [name for _, name in by_x] == [name for *_, name in CELLS_UM]
    assert np.allclose([x for x, _ in by_x], [x for x, *_ in CELLS_UM], atol=0.3)
    assert cells["area_um2"].to_numpy() == pytest.approx(np.full(4, np.pi * 15), rel=0.05)
    assert cells["confidence"].to_numpy().min() > 0.99


def test_windows_do_not_change_the_cells():
    assert cells_of(256).equals(cells_of(320))


def test_no_more_than_a_window_is_read_at_once(monkeypatch):
    ellipses = [Ellipse(x, y, code=CELL_CLASSES.index(name)) for x, y, name in CELLS_UM]
    slide = draw((1000, 700), ellipses)
    read, areas = slide.reader.read, []

    def watched(level, x, y, w, h):
        areas.append(w * h)
        return read(level, x, y, w, h)

    monkeypatch.setattr(slide.reader, "read", watched)
    find_cells(slide, ground(slide), DrawnHoverNetwork())
    assert max(areas) <= 256**2 < 1000 * 700 / 10


def test_a_hover_card_says_what_its_classes_count_as():
    fields = drawn_card().model_dump() | {"task": "hover", "classes": ("background", "nucleus")}
    Card(**fields | {"cell_classes": (PANNUKE_CELLS[0],)})
    for wrong in ((), ("nonsense",)):
        with pytest.raises(ValueError, match="cell_classes"):
            Card(**fields | {"cell_classes": wrong})
