"""Agreement against a published package, against cases worked by hand, and what it refuses."""

import krippendorff
import numpy as np
import pytest

from histome.errors import DataError
from histome.validation.raters.alpha import (
    agreement,
    coincidences,
    fleiss_kappa,
    fleiss_parts,
    krippendorff_alpha,
    one_against_rest,
)
from histome.validation.raters.votes import MISSING, UNSURE, Votes

# Krippendorff 2011, section C: four observers, twelve units, five values; alpha nominal 0.743, ordinal 0.815.
PUBLISHED = (
    np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ]
    ).T
    - 1
)


def votes_of(**codes) -> Votes:
    first = next(iter(codes.values()))
    return Votes(
        np.array([f"{k:04d}" for k in range(len(first))]),
        tuple("abcdef"[: first.shape[1]]),
        ("carcinoma_cell", "lymphocyte", "fibroblast"),
        {name: np.asarray(code, np.int16) for name, code in codes.items()},
    )


def random_codes(rng, n=400, raters=4, labels=3, right=0.8, gaps=0.1):
    true = rng.integers(0, labels, n)
    codes = np.where(rng.random((n, raters)) < right, true[:, None], rng.integers(0, labels, (n, raters)))
    codes[rng.random((n, raters)) < gaps] = MISSING
    return codes.astype(np.int16)


@pytest.mark.parametrize(("level", "wanted"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_the_published_example(level, wanted):
    assert krippendorff_alpha(coincidences(PUBLISHED, 5).sum(0), level) == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_package_krippendorff(level, seed):
    codes = random_codes(np.random.default_rng(seed), labels=5)
    data = np.where(codes == MISSING, np.nan, codes.astype(float)).T
    wanted = krippendorff.alpha(data, level_of_measurement=level, value_domain=list(range(5)))
    assert krippendorff_alpha(coincidences(codes, 5).sum(0), level) == pytest.approx(wanted, abs=1e-9)


def test_one_label_against_the_rest_is_the_alpha_of_two_labels():
    codes = random_codes(np.random.default_rng(1))
    two = np.where(codes == MISSING, MISSING, (codes == 1).astype(int))
    wanted = krippendorff_alpha(coincidences(two, 2).sum(0))
    got = krippendorff_alpha(one_against_rest(coincidences(codes, 3).sum(0), 1))
    assert got == pytest.approx(wanted, abs=1e-12)


def test_fleiss_by_hand():
    # Three raters: all agree on two cells (one of each label), 2 : 1 on two. P = (1 + 1 + 1/3 + 1/3) / 4,
    # p = 6/12 each, so P_e = 1/2 and kappa = 1/3. The fifth cell has a missing vote and is left out.
    codes = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0], [0, 0, MISSING]])
    assert fleiss_kappa(fleiss_parts(codes, 2).sum(0)) == pytest.approx(1 / 3)


def test_no_disagreement_possible_has_no_alpha():
    assert np.isnan(krippendorff_alpha(coincidences(np.zeros((5, 3), int), 2).sum(0)))


def test_unsure_is_no_label():
    with_gap = np.array([[0, 0, MISSING], [1, 1, 0], [2, 2, 2]])
    unsure = np.where(with_gap == MISSING, UNSURE, with_gap)
    assert (coincidences(with_gap, 3) == coincidences(unsure, 3)).all()


def test_rows_of_two_conditions_and_their_difference():
    rng = np.random.default_rng(2)
    he = random_codes(rng, right=0.7)
    ihc = random_codes(np.random.default_rng(2), right=0.95)
    rows = agreement(votes_of(HE=he, HE_IHC=ihc), rng=rng, draws=500)
    table = {(row["measure"], row["condition"], row["label"]): row for row in rows}
    assert {label for measure, _, label in table if measure == "alpha"} == {
        "all",
        "carcinoma_cell",
        "lymphocyte",
        "fibroblast",
    }
    before, after = (table["alpha", name, "all"]["value"] for name in ("HE", "HE_IHC"))
    difference = table["alpha difference", "HE_IHC - HE", "all"]
    assert difference["value"] == pytest.approx(after - before)
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    assert sum(measure.startswith("Cohen kappa") for measure, *_ in table) == 2 * 6


def test_drawing_slides_widens_the_interval_where_slides_differ():
    rng = np.random.default_rng(3)
    good, bad = (random_codes(rng, n=200, right=right, gaps=0) for right in (0.98, 0.4))
    votes = votes_of(HE=np.concatenate([good, bad]))
    slides = np.repeat([f"slide {k}" for k in range(8)], 50)
    cells, by_slide = (
        next(iter(agreement(votes, rng=np.random.default_rng(0), draws=1000, units=units)))
        for units in (None, slides)
    )
    assert cells["value"] == by_slide["value"]
    assert by_slide["high"] - by_slide["low"] > 2 * (cells["high"] - cells["low"])


def test_one_rater_and_no_shared_cell_are_refused():
    with pytest.raises(DataError, match="needs two raters"):
        agreement(votes_of(HE=np.zeros((3, 1))), rng=np.random.default_rng(0))
    apart = np.array([[0, MISSING], [MISSING, 1]])
    with pytest.raises(DataError, match="no cell has the votes of two raters"):
        agreement(votes_of(HE=apart), rng=np.random.default_rng(0))
