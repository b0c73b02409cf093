"""Features of patches whose answers are known by geometry, refused masks, and properties of any patch."""

import math

import numpy as np
import pytest
from helpers.drawn_patch import draw
from hypothesis import given, settings
from hypothesis import strategies as st

from histome.errors import UsageError
from histome.phenotype.axes import PANNUKE_CLASSES
from histome.phenotype.features import PatchCells, cells_of_masks, measure_cells, patch_features

NEO, INF, CON, DEAD, EPI = range(1, 6)
DISTANCES = ("min_dist_Inflammatory_to_Neoplastic", "mean_dist_Inflammatory_to_Neoplastic")


def cells(points: list[tuple[float, float]], codes: list[int]) -> PatchCells:
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    return PatchCells(x, y, np.full(len(x), 9.0), np.array(codes, np.int64))


def gathered(patch: list[tuple[float, float, int]]) -> PatchCells:
    return cells([(x, y) for x, y, _ in patch], [code for *_, code in patch])


def test_names_are_those_of_the_paper_in_order() -> None:
    raw = patch_features(*draw([]))
    assert list(raw) == [
        "total_cell_count",
        *(f"{kind}_{name}" for kind in ("count", "ratio", "mean_area") for name in PANNUKE_CLASSES),
        "tumor_stroma_fraction",
        "immune_infiltration_fraction",
        *DISTANCES,
        "count_engaged_immune",
        "mean_spatial_entropy",
        "undefined",
    ]


def test_counts_shares_and_areas() -> None:
    raw = patch_features(
        *draw([(0, 0, NEO), (10, 0, NEO), (20, 0, INF), (30, 0, CON), (40, 0, CON), (50, 0, CON)], side=4)
    )
    assert raw["total_cell_count"] == 6
    assert [raw[f"count_{name}"] for name in PANNUKE_CLASSES] == [2, 1, 3, 0, 0]
    assert [raw[f"ratio_{name}"] for name in PANNUKE_CLASSES] == [2 / 6, 1 / 6, 3 / 6, 0.0, 0.0]
    assert raw["mean_area_Neoplastic"] == 16.0
    assert raw["tumor_stroma_fraction"] == 2 / 5
    assert raw["immune_infiltration_fraction"] == 1 / 3


def test_lengths_and_areas_are_um_with_a_resolution_and_px_without() -> None:
    masks = draw([(0, 0, NEO), (30, 40, INF), (60, 0, INF)], side=4)
    px, um = patch_features(*masks), patch_features(*masks, mpp=0.5)
    assert [px[name] for name in DISTANCES] == [50.0, 55.0]
    assert [um[name] for name in DISTANCES] == [25.0, 27.5]
    assert (px["mean_area_Inflammatory"], um["mean_area_Inflammatory"]) == (16.0, 4.0)
    assert patch_features(*masks, mpp=0.5, compatible=True) == px


@pytest.mark.parametrize(("mpp", "engaged"), [(None, 1), (0.349, 1), (0.351, 0), (0.175, 2)])
def test_engaged_is_up_to_50_px_of_the_papers_scale(mpp: float | None, engaged: int) -> None:
    """At 50 and 51 px of the only neoplastic cell; 17.5 um are 50 px of 0.35 um."""
    raw = patch_features(*draw([(0, 0, NEO), (50, 0, INF), (0, 51, INF)]), mpp=mpp)
    assert raw["count_engaged_immune"] == engaged


def test_distances_go_from_each_inflammatory_cell_only() -> None:
    """The far neoplastic cell changes nothing; each inflammatory cell asks once."""
    raw = patch_features(*draw([(0, 0, NEO), (290, 290, NEO), (10, 0, INF), (0, 20, INF)]))
    assert [raw[name] for name in DISTANCES] == [10.0, 15.0]


def test_entropy_is_over_the_five_nearest_others() -> None:
    """Six cells, one of them of another class: it sees five of one class, each of the others 4 and 1."""
    raw = patch_features(*draw([(0, 0, INF), *((12 * k, 7 * k, NEO) for k in range(1, 6))]))
    mixed = -(0.8 * math.log2(0.8) + 0.2 * math.log2(0.2))
    assert raw["mean_spatial_entropy"] == pytest.approx(5 * mixed / 6, rel=1e-12)


def test_the_entropy_of_one_cell_has_no_value_between_0_and_0_72_bits() -> None:
    """Of five neighbors one differs at least, or none: cuts at 0.40 and 0.70 part only means over cells."""
    rng = np.random.default_rng(0)
    values = set()
    for _ in range(200):
        others = rng.integers(1, 6, 5)
        share = np.bincount(others) / 5
        values.add(round(float(-(share[share > 0] * np.log2(share[share > 0])).sum()), 3))
    assert min(values - {0.0}) == 0.722


def test_coincident_cells_are_neighbors_of_each_other() -> None:
    """A query that drops its first answer would drop another cell at the same place, and count itself."""
    here = [(5.0, 5.0)] * 6
    raw = measure_cells(cells(here, [NEO, INF, INF, INF, INF, INF]), unit="px")
    mixed = -(0.8 * math.log2(0.8) + 0.2 * math.log2(0.2))
    assert raw["mean_spatial_entropy"] == pytest.approx(5 * mixed / 6, rel=1e-12)


def test_a_nucleus_has_the_class_of_most_of_its_pixels() -> None:
    instances, classes = draw([(0, 0, NEO), (10, 0, NEO), (20, 0, NEO)], side=4)
    classes[0:3, 0:4] = INF  # 12 of 16
    classes[0:2, 10:14] = INF  # 8 of 16: the lower code
    classes[0:4, 20:23] = 0  # most pixels have no class: those that have one decide
    assert patch_features(instances, classes)["count_Neoplastic"] == 2
    classes[:, 20:24] = 0
    raw = patch_features(instances, classes)
    assert (raw["total_cell_count"], raw["count_Neoplastic"], raw["count_Inflammatory"]) == (2, 1, 1)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_ids_of_any_integer_kind_and_any_size(kind: type) -> None:
    instances, classes = draw([(0, 0, NEO), (10, 0, INF)])
    instances = instances.astype(kind)
    instances[instances == 2] = np.iinfo(kind).max
    assert patch_features(instances, classes.astype(kind))["total_cell_count"] == 2


@pytest.mark.parametrize(
    ("nuclei", "missing"),
    [
        ([], "no neoplastic"),
        ([(0, 0, INF)], "no neoplastic"),
        ([(0, 0, NEO)], "no inflammatory"),
        ([(9, 9, CON)], "no neo"),
    ],
)
def test_no_tumor_or_one_cell_has_no_distance_and_says_why(nuclei: list, missing: str) -> None:
    raw = patch_features(*draw(nuclei), mpp=0.25)
    for name in DISTANCES:
        assert raw[name] is None
        assert missing in raw["undefined"][name]
    assert raw["count_engaged_immune"] == 0
    assert raw["mean_spatial_entropy"] is None
    assert "fewer than 6 cells" in raw["undefined"]["mean_spatial_entropy"]


def test_a_zero_denominator_is_null_and_a_zero_count_is_zero() -> None:
    raw = patch_features(*draw([]))
    zeros = {name for name, value in raw.items() if value == 0}
    assert zeros == {
        "total_cell_count",
        "count_engaged_immune",
        *(f"count_{name}" for name in PANNUKE_CLASSES),
    }
    assert {name for name, value in raw.items() if value is None} == set(raw["undefined"])
    assert patch_features(*draw([(0, 0, EPI), (9, 9, DEAD)]))["tumor_stroma_fraction"] is None


def test_a_class_that_cannot_be_found_is_null_not_zero() -> None:
    raw = measure_cells(cells([(0, 0)], [NEO]), unit="um", unseen=("Dead",))
    assert {name for name in raw if name.endswith("_Dead") and raw[name] is None} == {
        "count_Dead",
        "ratio_Dead",
        "mean_area_Dead",
    }
    assert "have no dead cells" in raw["undefined"]["count_Dead"]


EMPTY = np.zeros((4, 4), np.int32)


@pytest.mark.parametrize(
    ("inst_mask", "cls_mask", "words"),
    [
        (np.zeros((4, 4, 3), int), EMPTY, r"inst_mask has 3 dimensions \(4, 4, 3\): give a 2-D"),
        (EMPTY, np.zeros(4, int), "cls_mask has 1 dimensions"),
        (EMPTY, np.zeros((4, 5), int), "inst_mask is 4 x 4 and cls_mask 4 x 5"),
        (EMPTY.astype(float), EMPTY, "inst_mask is float64: give whole numbers"),
        (EMPTY, EMPTY.astype(np.float32), "cls_mask is float32"),
        (EMPTY > 0, EMPTY, "inst_mask is bool"),
        (EMPTY - 3, EMPTY, "inst_mask holds -3"),
        (EMPTY, EMPTY - 1, "cls_mask holds -1"),
        (EMPTY, EMPTY + 6, r"cls_mask holds class 6: classes are 0 \(background\) to 5"),
        (EMPTY, EMPTY + 255, "cls_mask holds class 255"),
    ],
)
def test_bad_masks_are_refused_in_words(inst_mask: np.ndarray, cls_mask: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patch_features(inst_mask, cls_mask)


ONE = np.eye(4, dtype=int)


@pytest.mark.parametrize(
    ("inst_mask", "cls_mask", "words"),
    [
        (EMPTY, ONE, r"inst_mask: 0 px\) and a class \(cls_mask: 4 px\)"),
        (ONE, EMPTY, r"inst_mask: 4 px\) and a class \(cls_mask: 0 px\)"),
        (ONE, 1 - ONE, "no pixel has both a nucleus"),
    ],
)
def test_masks_of_two_patches_are_not_a_patch_without_nuclei(
    inst_mask: np.ndarray, cls_mask: np.ndarray, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        patch_features(inst_mask, cls_mask)
    assert patch_features(EMPTY, EMPTY)["total_cell_count"] == 0


@pytest.mark.parametrize("mpp", [0.0, -0.25, 25.0, math.nan, math.inf])
def test_an_implausible_resolution_is_refused(mpp: float) -> None:
    with pytest.raises(UsageError, match="um per px lie between"):
        patch_features(EMPTY, EMPTY, mpp=mpp)


# No deadline: the first example may compile.
PATCHES = st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.integers(1, 5)), max_size=40)


@settings(deadline=None)
@given(PATCHES, st.randoms(use_true_random=False))
def test_the_order_of_the_cells_changes_nothing(patch: list, random: object) -> None:
    shuffled = list(patch)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (measure_cells(gathered(some), unit="um") for some in (patch, shuffled))
    assert first == second


@settings(deadline=None)
@given(PATCHES)
def test_every_patch_is_whole(patch: list) -> None:
    """Counts and shares add up, ranges hold, and null means exactly that there is a reason."""
    raw = measure_cells(gathered(patch), unit="um")
    assert sum(raw[f"count_{name}"] for name in PANNUKE_CLASSES) == raw["total_cell_count"] == len(patch)
    assert {name for name, value in raw.items() if value is None} == set(raw["undefined"])
    known = [value for name, value in raw.items() if name != "undefined" and value is not None]
    assert {type(value) for value in known} <= {int, float}
    if patch:
        assert sum(raw[f"ratio_{name}"] for name in PANNUKE_CLASSES) == pytest.approx(1)
    if raw["mean_spatial_entropy"] is not None:
        assert 0 <= raw["mean_spatial_entropy"] <= math.log2(5) + 1e-12
    low, mean = (raw[name] for name in DISTANCES)
    assert (low is None) == (mean is None)
    if low is not None:
        assert 0 <= low <= mean * (1 + 1e-12)
        assert raw["count_engaged_immune"] <= raw["count_Inflammatory"]


@settings(deadline=None)
@given(PATCHES, st.sampled_from([0.25, 0.5, 2.0]))
def test_scale_changes_lengths_and_areas_only(patch: list, mpp: float) -> None:
    """Powers of two: the arithmetic is exact. A patch in um is the patch in px, times the resolution."""
    points, codes = [p[:2] for p in patch], [p[2] for p in patch]
    px = measure_cells(cells(points, codes), unit="px")
    scaled = cells([(x * mpp, y * mpp) for x, y in points], codes)
    um = measure_cells(scaled._replace(area=scaled.area * mpp**2), unit="um")
    for name, value in px.items():
        if name in DISTANCES and value is not None:
            assert um[name] == value * mpp
        elif name.startswith("mean_area") and value is not None:
            assert um[name] == value * mpp**2
        elif name != "count_engaged_immune":
            assert um[name] == value


def test_turning_and_mirroring_a_patch_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    points, codes = rng.uniform(0, 400, (300, 2)), rng.integers(1, 6, 300)

    def measured(places: np.ndarray) -> dict:
        return measure_cells(cells(places.tolist(), codes.tolist()), unit="um") | {"undefined": 0}

    whole = measured(points)
    for turned in (points[:, ::-1], points * [-1, 1], np.stack([-points[:, 1], points[:, 0]], axis=1)):
        assert measured(turned) == pytest.approx(whole, rel=1e-12)


def test_a_real_field_against_another_way_to_count(data_dir) -> None:
    """Ovarian carcinoma, 1,294 nuclei: every number again, by brute force over all pairs."""
    folder = data_dir("hgsc_cells")
    inst_mask, cls_mask = (
        np.load(folder / f"hgsc_nest_{name}_mask.npz")["nuc_raster"] for name in ("inst", "type")
    )
    raw = patch_features(inst_mask, cls_mask, mpp=0.5)
    found = cells_of_masks(inst_mask, cls_mask)
    assert raw["total_cell_count"] == len(np.unique(inst_mask)) - 1
    # Four of them have pixels of two classes.
    votes = np.histogram2d(inst_mask.ravel(), cls_mask.ravel(), (np.arange(1, 1296), np.arange(1, 7)))[0]
    counts = np.bincount(votes.argmax(axis=1), minlength=5).tolist()
    assert [raw[f"count_{name}"] for name in PANNUKE_CLASSES] == counts
    pairs = 0.5 * np.hypot(found.x[:, None] - found.x, found.y[:, None] - found.y)
    nearest = pairs[np.ix_(found.code == INF, found.code == NEO)].min(axis=1)
    assert raw["min_dist_Inflammatory_to_Neoplastic"] == pytest.approx(nearest.min(), rel=1e-12)
    assert raw["mean_dist_Inflammatory_to_Neoplastic"] == pytest.approx(nearest.mean(), rel=1e-12)
    assert raw["count_engaged_immune"] == np.count_nonzero(nearest <= 17.5)
    np.fill_diagonal(pairs, np.inf)
    near = found.code[np.argsort(pairs, axis=1)[:, :5]]
    share = np.stack([(near == code).mean(axis=1) for code in range(1, 6)])
    bits = -np.where(share > 0, share * np.log2(np.where(share > 0, share, 1)), 0).sum(axis=0)
    assert raw["mean_spatial_entropy"] == pytest.approx(bits.mean(), rel=1e-12)
