"""Attention pooling finds the one vector of a bag that matters; an exported encoder gives its own means."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="trains a network")

from histome.encoders import open_encoder
from histome.training.encoders.abmil import abmil_probe
from histome.training.encoders.export import TileVector, export_tile_encoder
from histome.training.encoders.network import PlainEncoder


def bags_of(rng, n):
    """Bags of 3-9 noise vectors; in those that are `yes` one vector points elsewhere."""
    labels = np.array(["yes", "no"] * (n // 2))
    bags = [rng.normal(0, 1, (int(rng.integers(3, 10)), 6)).astype(np.float32) for _ in labels]
    for bag, label in zip(bags, labels, strict=True):
        if label == "yes":
            bag[int(rng.integers(len(bag))), 0] = 6.0
    return bags, labels


def test_one_vector_of_a_bag_is_found(rng):
    bags, labels = bags_of(rng, 80)
    new, truth = bags_of(rng, 40)
    found = abmil_probe(bags, labels, new)
    assert (found == truth).mean() > 0.9
    np.testing.assert_array_equal(found, abmil_probe(bags, labels, new))


def test_an_exported_encoder_gives_the_means_of_its_maps(tmp_path, rng):
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    encoder = PlainEncoder((4, 4, 8, 8, 8), (1, 1, 1, 1, 1)).eval()
    card = export_tile_encoder(TileVector(encoder), tmp_path, name="small", about="A small one.")
    opened = open_encoder(card)
    tiles = rng.integers(0, 256, (3, 224, 224, 3), np.uint8)
    with torch.inference_mode():
        wanted = TileVector(encoder)(torch.from_numpy(tiles)).numpy()
    assert wanted.shape == (3, 24)
    np.testing.assert_allclose(opened(tiles), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(opened(tiles[:1]), wanted[:1], rtol=1e-3, atol=1e-4)
    assert (opened.card.dimension, len(opened.sha256)) == (24, 64)
