"""Mirror images are turned back with their directions, and the mean does not depend on which side is left."""

import numpy as np
import pytest
from helpers.tiny_models import stardist_model

from histome.config import RuntimeConfig
from histome.errors import ModelError
from histome.models.mirrored import Mirrored
from histome.models.registry import arithmetic, describe_model, open_model
from histome.models.runtime import Network

SIDE = 64


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return stardist_model(tmp_path_factory.mktemp("models") / "tiny")


class Drawn:
    """A right answer, from the dark pixels: how far they reach along each ray, where their middle is."""

    def __init__(self, card):
        self.card = card

    def __call__(self, image, /):
        y, x = np.indices(image.shape[1:3], np.float32)
        dark = image[0, :, :, 0] == 0
        angle = 2 * np.pi * np.arange(self.card.n_rays) / self.card.n_rays
        reach = [(np.cos(a) * x[dark] + np.sin(a) * y[dark]).max() for a in angle]
        dist = [r - np.cos(a) * x - np.sin(a) * y for r, a in zip(reach, angle, strict=True)]
        offset = np.stack([x[dark].mean() - x, y[dark].mean() - y])
        prob = dark.astype(np.float32)[None]
        return {"prob": prob[None], "dist": np.stack(dist)[None], "offset": offset[None], "hv": offset[None]}


def test_directions_are_turned_back_with_their_pixels(card):
    image = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    image[0, 5:20, 40:48] = image[0, 20:26, 30:48] = 0  # like itself in no mirror
    model = Drawn(card)
    plain, mean = model(image), Mirrored(model)(image)
    assert plain.keys() == mean.keys()
    for name, array in plain.items():
        np.testing.assert_allclose(mean[name], array, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mirror_image_has_the_mirrored_answer(card, axis):
    image = np.random.default_rng(3).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    network = Network(card, precision="f32")
    for model, same in ((Mirrored(network), True), (network, False)):
        prob, other = (model(picture)["prob"] for picture in (image, np.flip(image, axis)))
        assert np.allclose(prob, np.flip(other, axis + 1), atol=1e-5) == same


def test_the_setting_opens_it_and_is_told(card):
    mirrored, plain = (open_model(card, RuntimeConfig(mirrored=on)) for on in (True, False))
    assert isinstance(mirrored, Mirrored)
    assert isinstance(plain, Network)
    assert describe_model(mirrored) == describe_model(plain) | {"seen": "mirrored"}
    assert arithmetic(card, RuntimeConfig(mirrored=True)) != arithmetic(card, RuntimeConfig())


def test_an_odd_number_of_rays_has_no_mirror_image(card):
    with pytest.raises(ModelError, match="33 rays have no mirror image"):
        Mirrored(Drawn(card.model_copy(update={"n_rays": 33})))
