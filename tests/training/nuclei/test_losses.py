"""Losses against values worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.training.nuclei.losses import label_set_loss, object_loss, polar_iou_loss


def _one(values):
    return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)


def test_polar_iou_of_half_the_radius():
    true, half = torch.full((1, 32, 1, 1), 4.0), torch.full((1, 32, 1, 1), 2.0)
    assert polar_iou_loss(half, true, torch.ones(1, 1, 1)).item() == pytest.approx(math.log(4))
    assert polar_iou_loss(true, true, torch.ones(1, 1, 1)).item() == pytest.approx(0)


def test_polar_iou_leaves_out_pixels_without_outline():
    true, wrong = torch.full((1, 32, 1, 2), 4.0), torch.full((1, 32, 1, 2), 4.0)
    wrong[..., 1] = 1.0
    weight = torch.tensor([[[1.0, 0.0]]])
    assert polar_iou_loss(wrong, true, weight).item() == pytest.approx(0)


def test_a_single_label_is_cross_entropy():
    logits, member = _one([2.0, 0.0, -1.0]), _one([0, 1, 0])
    expected = torch.nn.functional.cross_entropy(logits[:, :, 0, 0], torch.tensor([1])).item()
    assert label_set_loss(logits, member, torch.ones(1, 1, 1), gamma=0).item() == pytest.approx(expected)


def test_a_set_asks_for_the_sum_and_prefers_no_member():
    logits = _one([1.0, 1.0, 0.0]).requires_grad_()
    loss = label_set_loss(logits, _one([1, 1, 0]), torch.ones(1, 1, 1), gamma=0)
    share = 2 * math.e / (2 * math.e + 1)
    assert loss.item() == pytest.approx(-math.log(share))
    loss.backward()
    assert logits.grad[0, 0].item() == pytest.approx(logits.grad[0, 1].item())
    assert logits.grad[0, 2].item() > 0


def test_the_full_set_teaches_nothing():
    logits = _one([3.0, -2.0, 0.5]).requires_grad_()
    label_set_loss(logits, _one([1, 1, 1]), torch.ones(1, 1, 1)).backward()
    assert logits.grad.abs().max().item() < 1e-5


def test_object_loss_counts_only_known_pixels():
    logit, prob = torch.tensor([[[0.0, 9.0]]]), torch.tensor([[[1.0, 0.0]]])
    assert object_loss(logit, prob, torch.tensor([[[1.0, 0.0]]])).item() == pytest.approx(math.log(2))
