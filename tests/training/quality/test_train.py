"""Crops, loss and export of the quality network."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.drawn_tissue import glass, tissue_texture

torch = pytest.importorskip("torch")

from helpers.resumed import assert_went_on, kept

from histome.classes import QC_CLASSES
from histome.training.quality.crops import QualityRecipe, QualitySampler
from histome.training.quality.drawn import CODE
from histome.training.quality.fields import GLASS_SET, CleanField
from histome.training.quality.train import (
    QualityExport,
    predict_quality,
    quality_loss,
    quality_network,
    train_quality,
)

RECIPE = QualityRecipe(
    steps=2, batch=2, crop_px=64, widths=(4, 6, 8), head_width=4, shares={"a": 0.5, GLASS_SET: 0.5}
)


def fields():
    tissue = tissue_texture(90, 70, mpp=4.0)
    return [
        CleanField("a", "1", "s", "train", tissue),
        CleanField(GLASS_SET, "2", "g", "train", glass(64, 64)),
        CleanField("not in the recipe", "3", "x", "train", tissue),
    ]


def test_a_batch_has_pixels_and_codes_at_half_of_them_and_is_the_same_again():
    sampler = QualitySampler(fields(), RECIPE)
    image, codes = sampler.batch(np.random.default_rng(1))
    assert image.shape == (2, 64, 64, 3)
    assert codes.shape == (2, 32, 32)
    assert codes.max() <= len(QC_CLASSES)
    again = sampler.batch(np.random.default_rng(1))
    assert torch.equal(image, again[0])
    assert torch.equal(codes, again[1])
    assert sampler.names == ["a", GLASS_SET]


def test_clean_crops_are_valid_tissue_or_glass():
    sampler = QualitySampler(fields(), RECIPE)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        seen |= set(np.unique(sampler.clean(rng)[1]).tolist())
    assert seen <= {0, CODE["NO_TISSUE"], CODE["VALID_TISSUE"]}
    assert {CODE["NO_TISSUE"], CODE["VALID_TISSUE"]} <= seen


def test_the_loss_is_least_where_all_is_right_and_blind_to_what_is_not_labeled():
    codes = torch.randint(1, 6, (1, 8, 8))
    codes[0, :2] = 0
    right = 20.0 * torch.nn.functional.one_hot((codes - 1).clamp_min(0), 5).movedim(-1, 1).float()
    assert quality_loss(right, codes) < 0.01
    assert quality_loss(-right, codes) > 1.0
    other = right.clone()
    other[:, :, :2] = torch.randn(1, 5, 2, 8)
    assert torch.equal(quality_loss(other, codes), quality_loss(right, codes))


def test_doubt_lowers_what_refuses_and_probabilities_sum_to_one():
    net = quality_network(RECIPE).eval()
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    refusing = [name for name in QC_CLASSES if name != "VALID_TISSUE"]
    plain, doubting = (QualityExport(net, dict.fromkeys(refusing, d)).eval()(image) for d in (0.0, 2.0))
    assert plain.shape == (1, 5, 32, 32)
    assert torch.allclose(doubting.sum(1), torch.ones(1, 32, 32), atol=1e-5)
    odds = [p[:, 0] / p[:, QC_CLASSES.index("VALID_TISSUE")] for p in (plain, doubting)]
    assert torch.allclose(odds[0] / odds[1], torch.tensor(float(np.exp(2.0))), rtol=1e-3)


def test_a_run_goes_on_where_it_was_cut_and_is_the_same(tmp_path):
    recipe = replace(RECIPE, steps=4, decay_steps=1)
    seen = []

    def stopped(net):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return {"seen": 1.0}

    def trained(folder, follow=lambda net: {"seen": 1.0}):
        return train_quality(recipe, fields(), tmp_path / folder, follow=follow, every=1)

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("cut", stopped)
    cut = kept(tmp_path / "cut")
    assert cut["step"] == 2
    net = trained("cut")
    assert_went_on(cut, kept(tmp_path / "cut"), kept(tmp_path / "whole"))
    said = predict_quality(net, fields()[0].image)
    np.testing.assert_allclose(said, predict_quality(whole, fields()[0].image), atol=0.01 * said.std())
    assert said.shape == (5, 45, 35)
    assert (tmp_path / "cut" / "log.csv").read_text().splitlines()[0] == "step,seconds,loss,seen"
