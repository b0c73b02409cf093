"""Each network that timm or transformers builds, as its publisher describes it; random weights, no memory."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="encoders are networks")

from histome.encoders import find_encoder, list_encoders
from histome.encoders.architectures import FromFolder
from histome.encoders.card import standing
from histome.encoders.network import pool
from histome.encoders.vit import timm_encoder
from histome.errors import UsageError

# As the publishers' papers and model cards round them.
MILLIONS = {
    **{"uni": 303, "uni2-h": 681, "virchow": 631, "virchow2": 631, "h-optimus-0": 1135, "h-optimus-1": 1135},
    **{"phikon": 86, "phikon-v2": 303, "prov-gigapath": 1135, "hibou-b": 86, "hibou-l": 303, "gpfm": 303},
    **{"kaiko-vits16": 22, "kaiko-vits8": 22, "kaiko-vitb16": 86, "kaiko-vitb8": 86, "kaiko-vitl14": 304},
    **{"midnight-12k": 1136, "mstar": 303, "pathorchestra": 303, "retccl": 24, "kimianet": 7},
    **{"lunit-dino-s8": 22, "random-vit-tiny": 6, "random-vit-small": 22},
}
REGISTERS = {"uni2-h": 8, "virchow2": 4, "h-optimus-0": 4, "h-optimus-1": 4, "hibou-b": 4, "hibou-l": 4}
REGISTERS |= {"kaiko-vitl14": 4}


@pytest.fixture(autouse=True, scope="module")
def _timm():
    try:
        with torch.device("meta"):
            timm_encoder(model_name="vit_tiny_patch16_224")
    except UsageError as error:
        pytest.skip(str(error))


def buildable():
    cards = (card for card in list_encoders() if card.level == "tile" and not card.needs)
    return [card.name for card in cards if card.name in MILLIONS]


def test_no_network_that_is_built_here_is_left_untested():
    built = {card.name for card in list_encoders() if card.level == "tile" and not card.needs and card.build}
    assert built - set(MILLIONS) == {"color-histogram", "imagenet-efficientnet-lite0", "h0-mini"}


@pytest.mark.parametrize("name", buildable())
def test_a_network_is_its_publishers(name):
    card = find_encoder(name)
    with torch.device("meta"):
        network = card.build().eval()
        found = pool(network, torch.zeros(2, 3, card.input_px, card.input_px), card.pooling)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == card.parameters
    assert round(parameters / 1e6) == MILLIONS[name]
    assert found.shape == (2, card.dimension)
    if card.patch_px:
        side = dict(network.named_parameters())
        kernel = next(value for key, value in side.items() if "patch_embed" in key and value.ndim == 4)
        assert kernel.shape[-1] == card.patch_px
    if card.pooling != "own":
        config = getattr(network, "config", None)
        own = 1 + getattr(config, "num_register_tokens", 0) if config else network.num_prefix_tokens
        assert own == 1 + REGISTERS.get(name, 0)


def test_what_its_publishers_config_shapes_waits_for_that():
    assert isinstance(find_encoder("h0-mini").build(), FromFolder)
    assert standing(find_encoder("h0-mini")).startswith("untested with real weights")


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("uni", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("h-optimus-0", (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)),
        ("hibou-l", (0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)),
        ("midnight-12k", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("lunit-dino-s8", (0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)),
    ],
)
def test_normalization_is_its_publishers(name, mean, std):
    card = find_encoder(name)
    assert (card.mean, card.std) == (mean, std)


def test_pooling_takes_the_class_token_and_the_patches_without_registers():
    class Network:
        num_prefix_tokens = 3

        def forward_features(self, pixels):
            tokens = torch.arange(7.0).view(1, 7, 1).expand(len(pixels), 7, 2)
            return tokens

    pixels = torch.zeros(2, 3, 4, 4)
    assert pool(Network(), pixels, "class").tolist() == [[0, 0], [0, 0]]
    assert pool(Network(), pixels, "mean").tolist() == [[4.5, 4.5]] * 2  # tokens 3 to 6
    np.testing.assert_allclose(pool(Network(), pixels, "class+mean")[0], [0, 0, 4.5, 4.5])
