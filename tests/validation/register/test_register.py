"""Registration against bends that are known, and against landmarks of people."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from helpers.restained import Bend, in_dab
from PIL import Image

from histome.errors import DataError
from histome.phantom import paint_field
from histome.validation.register import Warp, landmark_errors, read_landmarks, search_rigid
from histome.validation.register.grays import gray_pair

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PAIRS = DATA / "pairs"


def bent_warp(amplitude=4.0):
    """An affine with a wave of shifts."""
    rows, columns = np.mgrid[:21, :31] * 10.0
    shifts = amplitude * np.stack([np.sin(rows / 60), np.cos(columns / 80)], axis=-1)
    matrix = np.array([[0.1, -1.02, 50.0], [0.98, 0.05, -20.0]])
    return Warp(matrix, shifts.astype(np.float32), 10.0, 0.25, 0.5)


def test_back_is_the_inverse_and_shapes_go_in_px_of_their_slide(tmp_path):
    warp = bent_warp()
    points = np.random.default_rng(0).uniform(0, 200, (500, 2))
    np.testing.assert_allclose(warp.backward(warp.forward(points)), points, atol=2e-3)
    shapes = shapely.buffer(shapely.points(points[:5] / 0.25), 8.0)
    moved = warp.carry(shapes)
    centers = shapely.get_coordinates(shapely.centroid(moved))
    np.testing.assert_allclose(centers * 0.5, warp.forward(points[:5]), atol=0.1)
    again = shapely.get_coordinates(shapely.centroid(warp.carry(moved, back=True)))
    np.testing.assert_allclose(again, shapely.get_coordinates(shapely.centroid(shapes)), atol=0.02)
    warp.save(tmp_path / "w.npz")
    np.testing.assert_array_equal(Warp.load(tmp_path / "w.npz").forward(points), warp.forward(points))


def test_shifts_are_added_at_their_place():
    shifts = np.zeros((3, 3, 2), np.float32)
    shifts[1, 2] = (5, -3)
    warp = Warp(np.eye(2, 3), shifts, 10.0, 1.0, 1.0)
    found = warp.forward(np.array([[20.0, 10.0], [15.0, 10.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[25, 7], [17.5, 8.5], [0, 0]])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 205])
def test_the_search_finds_any_angle_and_a_mirror(degrees, mirror):
    """Three blobs of different size, at places that no symmetry maps onto each other."""
    at, size = np.array([[60.0, 50.0], [130.0, 80.0], [80.0, 150.0]]), np.array([14.0, 9.0, 20.0])
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    moved = (at - 100) @ linear.T + (110, 95)

    def drawn(centers):
        y, x = np.mgrid[:200, :200] + 0.5
        parts = [
            np.exp(-((x - a) ** 2 + (y - b) ** 2) / r**2) for (a, b), r in zip(centers, size, strict=True)
        ]
        return np.sum(parts, 0).astype(np.float32)

    best = search_rigid(drawn(at), drawn(moved), 2.0)[0]
    found = (at * 2.0) @ best.matrix[:, :2].T + best.matrix[:, 2]
    assert np.abs(found - moved * 2.0).max() < 12  # half a step of the angle at 70 px, 2 um/px
    assert np.linalg.det(best.matrix[:, :2]) == pytest.approx(-1 if mirror else 1)
    assert best.correlation > 0.95


def test_stains_are_told_apart():
    field = paint_field(128, mpp=0.5, rng=np.random.default_rng(0))
    one, other = gray_pair(field, 0.5, dab=False), gray_pair(in_dab(field), 0.5, dab=True)
    assert np.corrcoef(one.nuclei.ravel(), other.nuclei.ravel())[0, 1] > 0.9
    with pytest.raises(DataError, match="IHC picture is empty"):
        gray_pair(np.full((64, 64, 3), 250, np.uint8), 0.5, dab=True)


def test_landmarks_pair_by_name_and_bad_tables_are_told(tmp_path):
    (tmp_path / "a.csv").write_text(",X,Y\n1,10,20\n2,30,40\n")
    assert read_landmarks(tmp_path / "a.csv") == {"1": (10.0, 20.0), "2": (30.0, 40.0)}
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    assert read_landmarks(tmp_path / "b.csv") == {"1": (1.0, 2.0)}
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no table of landmarks"):
        read_landmarks(tmp_path / "c.csv")
    apart = landmark_errors(np.array([[0.0, 0], [0, 0], [0, 0]]), np.array([[3.0, 4], [0, 1], [2, 0]]))
    assert (apart["median_um"], apart["max_um"], apart["n"]) == (2, 5, 3)


def lay_over(field, bend, mpp, fit_mpp):
    """Register a field and its bent, recolored self."""
    pytest.importorskip("SimpleITK")
    from histome.datasets.fields import resize_image
    from histome.validation.register import register_pair

    pictures = [resize_image(p, mpp, fit_mpp) for p in (field, bend.picture(in_dab(field)))]
    return register_pair(*pictures, fit_mpp, mpps=(mpp, mpp))


def left_apart(found, bend, points_px, mpp):
    """Um between places of the bent picture and where the transform puts what of the field lies there."""
    return np.linalg.norm(found.warp.forward(bend(points_px) * mpp) - points_px * mpp, axis=1)


def test_a_drawn_field_that_was_bent_turned_and_mirrored():
    side, mpp = 512, 0.5
    field = paint_field(side, mpp=mpp, rng=np.random.default_rng(3))
    bend = Bend(side, 6 / mpp, turns=1, mirror=True)
    found = lay_over(field, bend, mpp, 1.0)
    points = np.random.default_rng(0).uniform(60, side - 60, (400, 2))
    assert np.percentile(left_apart(found, bend, points, mpp), 95) < 1


def test_a_wrong_resolution_is_told_by_the_size(monkeypatch):
    pytest.importorskip("SimpleITK")
    from histome.validation.register import fit

    field = paint_field(256, mpp=1.0, rng=np.random.default_rng(3))
    larger = in_dab(cv2.resize(field, None, fx=1.4, fy=1.4))
    monkeypatch.setattr(fit, "_start", lambda he, ihc: (np.eye(2, 3) * 1.4, 2.0))
    with pytest.raises(DataError, match=r"1\.4\d? times as large as the H&E: is their um/px right"):
        fit.register_pair(field, larger, 1.0, mpps=(1.0, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize(("turns", "mirror"), [(0, False), (1, False), (0, True)])
def test_nuclei_of_a_real_field_land_within_2_um(turns, mirror):
    path = DATA / "consep/images/consep_train_1.jpg"
    if not path.exists():
        pytest.skip("no ../shared/data/consep")
    field = np.asarray(Image.open(path).convert("RGB"))
    rows = (DATA / "consep/nuclei.csv").read_text().splitlines()
    nuclei = np.array([row.split(",")[2:4] for row in rows if row.startswith("consep_train_1,")], float)
    side, mpp = field.shape[0], 0.25
    bend = Bend(side, 6 / mpp, turns=turns, mirror=mirror)
    found = lay_over(field, bend, mpp, 0.5)
    # Nuclei of the field, where they lie on the bent picture: the bend gives the way back.
    grid = np.stack(np.meshgrid(*2 * [np.arange(0, side, 2.0)]), -1).reshape(-1, 2)
    came_from = bend(grid)
    from scipy.spatial import KDTree

    near, index = KDTree(came_from).query(nuclei)
    kept = near < 2
    assert kept.mean() > 0.85  # others were bent out of the picture
    apart = np.linalg.norm(found.warp.forward(came_from[index[kept]] * mpp) - grid[index[kept]] * mpp, axis=1)
    assert (apart < 2).mean() >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("change", ["as given", "turned", "mirrored"])
def test_landmarks_of_a_real_pair_come_nearer(change):
    pytest.importorskip("SimpleITK")
    folder = PAIRS / "rat-kidney_/scale-5pc"
    if not folder.exists():
        pytest.skip("no ../shared/data/pairs")
    from histome.validation.register import register_pair
    from histome.validation.register.landmarks import shared_landmarks

    names = ("Rat-Kidney_HE", "Rat-Kidney_PanCytokeratin")
    he, ihc = (np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB")) for name in names)
    one, other = shared_landmarks(*(folder / f"{name}.csv" for name in names))
    width = ihc.shape[1]
    before = landmark_errors(one, other)["median_um"]
    if change == "turned":
        ihc, other = np.rot90(ihc).copy(), np.stack([other[:, 1], width - other[:, 0]], axis=1)
    if change == "mirrored":
        ihc, other = ihc[:, ::-1].copy(), np.stack([width - other[:, 0], other[:, 1]], axis=1)
    found = register_pair(he, ihc, 1.0, mpps=(1.0, 1.0))
    assert landmark_errors(found.warp.forward(one), other)["median_um"] < before / 5
