"""The training loop on a made field: it learns, and an interrupted run equals an undisturbed one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from helpers.resumed import assert_went_on, kept

from histome.datasets.fields import Field, _centers, _normalized_depth
from histome.training.loop import learning_rate
from histome.training.nuclei.follow import predict
from histome.training.nuclei.train import NucleiTrainer, Recipe, Sampler, make_network, train

pytestmark = pytest.mark.slow

RECIPE = Recipe(
    widths=(8, 8, 16), crop_px=64, batch=2, steps=6, restarts=(), decay_steps=2, mix={"consep": 1.0}
)


@pytest.fixture
def field():
    rng = np.random.default_rng(0)
    labels = np.zeros((240, 240), np.int32)
    yy, xx = np.mgrid[:240, :240]
    image = np.full((120, 120, 3), (230, 200, 220), np.uint8)
    for k, (x, y) in enumerate(rng.uniform(20, 220, (18, 2)), start=1):
        labels[(xx - x) ** 2 + (yy - y) ** 2 < 81] = k
    image[labels[::2, ::2] > 0] = (90, 60, 130)
    n = labels.max() + 1
    weight = np.full(labels.shape, 255, np.uint8)
    sets = np.array([0] + [1 << (k % 3) for k in range(n - 1)], np.uint16)
    return Field(
        "consep",
        "a",
        "p",
        image,
        labels,
        _normalized_depth(labels),
        weight,
        0.25,
        sets,
        True,
        _centers(labels),
    )


def test_a_run_cut_in_two_equals_one_run(field, tmp_path):
    train(RECIPE, [field], [field], tmp_path / "whole", every=3)
    sampler = Sampler([field], RECIPE)
    first = NucleiTrainer(RECIPE, tmp_path / "cut", sampler.set_weight)
    first.net.train()
    for k in range(3):
        first.update(sampler.batch(np.random.default_rng((RECIPE.seed, k))))
    first.save()
    cut = kept(tmp_path / "cut")
    train(RECIPE, [field], [field], tmp_path / "cut", every=3)
    assert_went_on(cut, kept(tmp_path / "cut"), kept(tmp_path / "whole"))
    assert (tmp_path / "whole" / "log.csv").read_text().count("\n") == 3


def test_training_leaves_the_callers_arithmetic_alone(field, tmp_path):
    train(RECIPE, [field], [field], tmp_path, every=3)
    assert np.float64(5e-324) * 1 > 0


def test_losses_fall(field, tmp_path):
    sampler = Sampler([field], RECIPE)
    trainer = NucleiTrainer(RECIPE, tmp_path, sampler.set_weight)
    trainer.net.train()
    batch = sampler.batch(np.random.default_rng(1))
    sums = [sum(trainer.update(batch).values()) for _ in range(5)]
    assert sums[-1] < sums[0]


def test_outputs_cover_the_field_on_a_stride_of_two(field):
    out = predict(make_network(RECIPE).eval(), field.image[:99, :75])
    assert out["prob"].shape == (50, 38)
    assert out["dist"].shape == (32, 50, 38)
    assert out["logits"].shape == (9, 50, 38)
    assert out["mask"].shape == (100, 76)
    assert out["offset"].shape == (2, 50, 38)


def test_a_silent_head_means_a_typical_radius_and_even_odds(field):
    """Raw outputs of 0: sigmoid 1/2; 8 px times softplus(0) = 8 ln 2."""
    net = make_network(RECIPE).eval()
    for parameter in net.heads.parameters():
        torch.nn.init.zeros_(parameter)
    out = predict(net, field.image)
    np.testing.assert_allclose(out["prob"], 0.5)
    np.testing.assert_allclose(out["dist"], 8 * np.log(2), rtol=1e-3)
    np.testing.assert_allclose(out["offset"], 0)


def test_learning_rate_warms_up_stays_and_ends_at_zero():
    recipe = Recipe(steps=1000, restarts=(), decay_steps=400)
    assert learning_rate(0, recipe) < recipe.learning_rate / 100
    assert learning_rate(500, recipe) == recipe.learning_rate
    assert learning_rate(999, recipe) < 0.002 * recipe.learning_rate + 1e-6
    again = Recipe(steps=1000, restarts=(600,), decay_steps=400)
    assert learning_rate(599, again) < 0.002 * recipe.learning_rate + 1e-6
    assert learning_rate(600, again) == recipe.learning_rate
    short = Recipe(steps=50, restarts=(), decay_steps=12)
    assert learning_rate(0, short) < learning_rate(9, short) == recipe.learning_rate
