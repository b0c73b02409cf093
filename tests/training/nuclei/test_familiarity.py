"""What a model is told to be familiar: fitted on fields with a drawn network."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.drawn_nuclei import DrawnNetwork

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.cells.familiarity import strangeness
from histome.datasets.fields import FieldId, instance_field
from histome.datasets.splits import Split
from histome.models.card import Familiarity
from histome.training.nuclei import familiarity
from histome.training.nuclei.familiarity import FEWEST_FIELDS, fit_familiarity

pytestmark = pytest.mark.slow


def fields(data_set, n):
    labels, sets = np.zeros((8, 8), np.int32), np.zeros(1, np.uint16)
    images = [np.full((8, 8, 3), k, np.uint8) for k in range(n)]
    return [
        instance_field(FieldId(data_set, f"{k}", f"{k}"), image, labels, sets, mpp=0.5)
        for k, image in enumerate(images)
    ]


@pytest.fixture
def drawn(monkeypatch):
    """Features of a field are drawn; field 0 has too few cells, those of "far" lie away."""

    def signs(image, _):
        k = int(image[0, 0, 0])
        rng = np.random.default_rng(k)
        return np.full(8, np.nan) if k == 0 else rng.normal(5.0, 2.0, 8)

    monkeypatch.setattr(familiarity, "signs_in", signs)
    return DrawnNetwork()


def test_the_limit_holds_most_of_the_fields_and_the_mean_is_theirs(drawn):
    split = Split(fields("one", 60), fields("one", 30), [])
    known = fit_familiarity(split, drawn)
    rows, weights = familiarity.field_signs(split.train, drawn)
    assert len(rows) <= familiarity.MOST_FIELDS
    np.testing.assert_allclose(known.mean, weights @ rows, atol=1e-5)
    within = strangeness(rows, known) <= 1
    assert 0.9 <= within.mean() < 1 or within.all()
    assert strangeness(np.full((1, 8), 30.0), known)[0] > 3


def test_a_kept_back_source_that_is_farther_moves_the_limit(drawn, monkeypatch):
    near = Split(fields("one", 60), [], [])
    near_known = fit_familiarity(near, drawn)
    there = familiarity.signs_in

    def farther(image, network):
        return there(image, network) + (10.0 if image.shape[0] == 9 else 0.0)

    monkeypatch.setattr(familiarity, "signs_in", farther)
    away = [
        replace(f, data_set="two", image=np.full((9, 8, 3), k + 1, np.uint8))
        for k, f in enumerate(fields("two", 20))
    ]
    known = fit_familiarity(replace(near, tuning=away), drawn)
    place = np.full((1, 8), 12.0)
    assert strangeness(place, known)[0] < strangeness(place, near_known)[0]


def test_each_data_set_weighs_the_same(drawn):
    _, weights = familiarity.field_signs([*fields("one", 30), *fields("two", 4)], drawn)
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] == pytest.approx(1 / 2 / 3)


def test_too_few_fields_know_nothing(drawn):
    assert fit_familiarity(Split(fields("one", FEWEST_FIELDS), [], []), drawn) is None
    assert isinstance(fit_familiarity(Split(fields("one", FEWEST_FIELDS + 1), [], []), drawn), Familiarity)
