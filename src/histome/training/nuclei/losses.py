"""Losses of the nuclei network: object probability, star distances, label-set classes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def object_loss(logit: Tensor, prob: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy; (N, H, W) each."""
    loss = F.binary_cross_entropy_with_logits(logit, prob, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)


def polar_iou_loss(predicted: Tensor, dist: Tensor, weight: Tensor) -> Tensor:
    """-log of the polar IoU, sum min^2 / sum max^2 over the rays (after PolarMask, arXiv:1909.13226).

    Free of the nucleus' size, so small and large nuclei teach alike; StarDist's mean absolute error,
    averaged over all pixels, left the shapes a twentieth of the gradient.

    Parameters
    ----------
    predicted, dist : (N, 32, H, W) Tensor
        Ray lengths, same unit.
    weight : (N, H, W) Tensor
        0 where there is no true outline.
    """
    inside = weight > 0
    w = weight[inside]
    predicted, dist = predicted.movedim(1, -1)[inside], dist.movedim(1, -1)[inside]
    low = torch.minimum(predicted, dist).square().sum(1)
    high = torch.maximum(predicted, dist).square().sum(1).clamp(min=1e-3)
    loss = -torch.log((low / high).clamp(min=1e-3))
    return (loss * w).sum() / w.sum().clamp(min=1.0)


def mask_loss(logit: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy plus Dice loss of the pixels inside nuclei; (N, H, W) each."""
    dice = 1 - (2 * (torch.sigmoid(logit) * mask * weight).sum() + 1) / (
        ((torch.sigmoid(logit) + mask) * weight).sum() + 1
    )
    return object_loss(logit, mask, weight) + dice


def offset_loss(predicted: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute error of the way to the centroid; (N, 2, H, W), unit of the caller."""
    error = (predicted - offset).abs().sum(1)
    return (error * weight).sum() / weight.sum().clamp(min=1.0)


def label_set_loss(logits: Tensor, membership: Tensor, weight: Tensor, gamma: float = 1.5) -> Tensor:
    """Focal cross-entropy of the summed probability of each pixel's label set.

    Parameters
    ----------
    logits : (N, 9, H, W) Tensor
        Of the classes.
    membership : (N, 9, H, W) Tensor, 0/1
        The classes in the pixel's set.
    weight : (N, H, W) Tensor
        0 where no type is known.
    """
    inside = weight > 0
    w = weight[inside]
    log_p = torch.log_softmax(logits.movedim(1, -1)[inside], 1)
    outside = membership.movedim(1, -1)[inside] == 0
    log_set = torch.logsumexp(log_p.masked_fill(outside, -1e4), 1).clamp(max=-1e-6)
    focal = (1 - log_set.exp()).pow(gamma)
    return (-focal * log_set * w).sum() / w.sum().clamp(min=1.0)
