"""Encoders of slides: each that has a loader is its publisher's, by numbers that they state, and by hand."""

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="encoders are networks")

from histome.cli import app
from histome.encoders import find_encoder, list_encoders, open_slide_encoder
from histome.encoders.card import standing
from histome.encoders.slide_pools import Chief, Feather, Madeleine
from histome.encoders.slide_transformers import (
    GigaPathSlide,
    Moozy,
    alibi_slopes,
    dilated_attention,
    place_sines,
)
from histome.errors import ModelError, UsageError

# Million parameters, length of the vector, whose tiles, pooling: as publishers state them or build them.
SLIDE_ENCODERS = {
    "madeleine": (4.7, 512, "conch", "attention"),
    "feather": (0.8, 512, "conch-v1-5", "attention"),
    "feather-uni2": (1.2, 512, "uni2-h", "attention"),
    "chief": (0.7, 768, "ctranspath", "attention"),
    "prov-gigapath-slide": (86.3, 768, "prov-gigapath", "class"),
    "moozy": (42.8, 768, "lunit-dino-s8", "class"),
}
# What names an architecture but no weights that its network could be held against.
NO_LOADER = {"prism", "threads", "titan", "care"}


def slide_cards():
    return {card.name: card for card in list_encoders() if card.level == "slide"}


def test_every_slide_encoder_has_a_loader_or_says_why_not():
    assert slide_cards().keys() == SLIDE_ENCODERS.keys() | NO_LOADER | {"mean-of-tiles"}
    for name in NO_LOADER:
        assert standing(find_encoder(name)).startswith("not built here: ")
        with pytest.raises(UsageError, match=name):
            open_slide_encoder(name, random=True)


@pytest.mark.parametrize("name", sorted(SLIDE_ENCODERS))
def test_a_slide_encoder_is_its_publishers(name):
    card, (millions, dimension, reads, pooling) = find_encoder(name), SLIDE_ENCODERS[name]
    assert (card.dimension, card.reads, card.pooling) == (dimension, reads, pooling)
    assert (card.mean, card.std) == (None, None)  # it sees no pixels: nothing is normalized
    assert standing(card).startswith("untested with real weights")
    with torch.device("meta"):
        network = card.build().eval()
        found = network(torch.zeros(9, find_encoder(reads).dimension), torch.zeros(9, 2))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == card.parameters
    assert round(parameters / 1e6, 1) == millions
    assert found.shape == (dimension,)


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("madeleine", {"wsi_embedders.pre_attn.8.weight", "wsi_embedders.attn.3.attention_a.0.bias"}),
        ("feather", {"patch_embed.0.weight", "global_attn.attention_b.0.weight"}),
        ("chief", {"attention_net.0.weight", "attention_net.3.attention_c.bias"}),
        ("moozy", {"input_proj.0.weight", "register_tokens", "blocks.5.q_proj.bias", "mask_token"}),
        ("prov-gigapath-slide", {"encoder.layers.11.ffn.ffn_layernorm.weight", "encoder.layer_norm.bias"}),
    ],
)
def test_tensors_have_their_publishers_names(name, tensors):
    with torch.device("meta"):
        assert tensors <= find_encoder(name).build().state_dict().keys()


def test_weights_of_a_file_are_taken_and_others_are_refused(tmp_path):
    torch.manual_seed(1)
    made = Feather(768)
    saved = {f"model.{name}": value for name, value in made.state_dict().items()}
    torch.save(saved | {"model.classifier.weight": torch.zeros(2, 512)}, tmp_path / "mine.pt")
    rng = np.random.default_rng(0)
    vectors, corners = rng.normal(size=(20, 768)).astype(np.float32), np.zeros((20, 2))
    opened = open_slide_encoder("feather", tmp_path / "mine.pt")
    with torch.inference_mode():
        wanted = made.eval()(torch.from_numpy(vectors), torch.zeros(20, 2)).numpy()
    np.testing.assert_allclose(opened(vectors, corners, 512), wanted, rtol=1e-5, atol=1e-6)
    assert len(opened.sha256) == 64
    with pytest.raises(ModelError, match="lacks"):
        open_slide_encoder("chief", tmp_path / "mine.pt")
    with pytest.raises(UsageError, match=r"feather reads vectors of 768 values \(conch-v1-5\), not 20 x 5"):
        opened(vectors[:, :5], corners, 512)
    with pytest.raises(UsageError, match="reads tiles, not their vectors"):
        open_slide_encoder("uni")


def test_weights_of_moozys_file_lie_deeper(tmp_path):
    torch.manual_seed(1)
    made = Moozy()
    torch.save({"teacher_slide_encoder": made.state_dict(), "meta": {"d_model": 768}}, tmp_path / "m.pt")
    network = open_slide_encoder("moozy", tmp_path / "m.pt").network
    assert torch.equal(network.blocks[0].fc1.weight, made.blocks[0].fc1.weight)


def test_attention_that_is_even_gives_means(rng):
    """Where the last layer of the scores is 0 all tiles weigh the same."""
    vectors = torch.from_numpy(rng.normal(size=(7, 768)).astype(np.float32))
    chief, feather = Chief().eval(), Feather(768).eval()
    for gate in (chief.attention_net[3], feather.global_attn):
        torch.nn.init.zeros_(gate.attention_c.weight)
    with torch.inference_mode():
        torch.testing.assert_close(chief(vectors, vectors), vectors.mean(0))
        torch.testing.assert_close(feather(vectors, vectors), feather.patch_embed(vectors).mean(0))


def test_the_heads_of_madeleine_are_the_fast_axis(rng):
    vectors = torch.from_numpy(rng.normal(size=(5, 512)).astype(np.float32))
    network = Madeleine().eval()
    for gate in network.wsi_embedders.attn:
        torch.nn.init.zeros_(gate.attention_c.weight)
    with torch.inference_mode():
        flat = network.wsi_embedders.pre_attn(vectors).mean(0)
        torch.testing.assert_close(network(vectors, vectors), network.projector(flat))
        first = network.wsi_embedders.attn[1].attention_c
        first.weight += 5.0  # head 1 alone: values 1, 5, 9, ... of the pooled ones
        seen = []
        network.projector.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        network(vectors, vectors)
    changed = ((seen[0] - flat).abs() > 1e-4).nonzero().flatten() % 4
    assert set(changed.tolist()) == {1}


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8) == [2.0**-k for k in range(1, 9)]
    assert alibi_slopes(12) == [2.0**-k for k in range(1, 9)] + [2.0**-k for k in (0.5, 1.5, 2.5, 3.5)]


def test_far_tiles_count_less_and_only_distances_matter(rng):
    torch.manual_seed(0)
    network = Moozy(depth=1).eval()
    vectors = torch.from_numpy(rng.normal(size=(6, 384)).astype(np.float32))
    places = torch.tensor([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [40, 0]], dtype=torch.float32)
    block = network.blocks[0]
    with torch.inference_mode():
        moved = network(vectors, places + 1000)
        torch.testing.assert_close(network(vectors, places), moved, rtol=1e-3, atol=1e-4)
        tokens = torch.zeros(2, 768)
        tokens[1] = torch.randn(768)
        near, far = (block(tokens, torch.tensor([[0.0, d], [d, 0.0]]))[0] for d in (1.0, 1e6))
        alone = block(tokens[:1], torch.zeros(1, 1))[0]
    torch.testing.assert_close(far, alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(near, alone, atol=1e-3)


def full_attention(q, k, v):
    return (q @ k.transpose(1, 2) / q.shape[2] ** 0.5).softmax(-1) @ v


def test_dilated_attention_without_skips_is_attention(rng):
    q, k, v = torch.from_numpy(rng.normal(size=(3, 4, 10, 6)))
    torch.testing.assert_close(dilated_attention(q, k, v, ((10, 1),)), full_attention(q, k, v))
    torch.testing.assert_close(dilated_attention(q, k, v, ((64, 1), (64, 1))), full_attention(q, k, v))
    halves = torch.cat(
        [full_attention(*(x[:, part] for x in (q, k, v))) for part in (slice(5), slice(5, 10))], 1
    )
    torch.testing.assert_close(dilated_attention(q, k, v, ((5, 1),)), halves)


def test_a_group_of_heads_skips_its_own_tokens(rng):
    """Skip 2, 4 heads: heads 0 and 1 see the even tokens among themselves, heads 2 and 3 the odd ones."""
    q, k, v = torch.from_numpy(rng.normal(size=(3, 4, 8, 6)))
    found = dilated_attention(q, k, v, ((8, 2),))
    for heads, tokens, others in (
        (slice(2), slice(0, 8, 2), slice(1, 8, 2)),
        (slice(2, 4), slice(1, 8, 2), slice(0, 8, 2)),
    ):
        wanted = full_attention(*(x[heads, tokens] for x in (q, k, v)))
        torch.testing.assert_close(found[heads, tokens], wanted)
        assert found[heads, others].abs().max() == 0
    # With a branch that sees all, each weighs by the sum of its softmax.
    both = dilated_attention(q, k, v, ((8, 1), (8, 2)))
    torch.testing.assert_close(both[:2, 1::2], full_attention(q, k, v)[:2, 1::2])


def test_the_last_segment_is_filled_with_nothing(rng):
    q, k, v = torch.from_numpy(rng.normal(size=(3, 2, 7, 4)))
    found = dilated_attention(q, k, v, ((5, 1),))
    padded = [torch.nn.functional.pad(x[:, 5:], (0, 0, 0, 3)) for x in (q, k, v)]
    torch.testing.assert_close(found[:, 5:], full_attention(*padded)[:, :2])


def test_places_are_sines_of_y_then_x():
    found = place_sines(torch.tensor([[3.0, 5.0]]), 8)[0]
    y, x = np.array([5, 0.05]), np.array([3, 0.03])  # rates 1 and 1/100
    np.testing.assert_allclose(found, [*np.sin(y), *np.cos(y), *np.sin(x), *np.cos(x)], rtol=1e-5)


def test_a_slide_of_many_tiles_goes_through_longnet(rng):
    torch.manual_seed(0)
    network = GigaPathSlide(inputs=8, width=32, depth=1, heads=16).eval()
    vectors = torch.from_numpy(rng.normal(size=(1100, 8)).astype(np.float32))
    places = torch.from_numpy(rng.integers(0, 60, (1100, 2)).astype(np.float32))
    with torch.inference_mode():
        found, moved = network(vectors, places), network(vectors, places.flip(1))
    assert found.shape == (32,)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, moved, atol=1e-4)


def test_the_command_checks_a_slide_encoder():
    done = CliRunner().invoke(app, ["encoders", "check", "chief", "--random"])
    assert done.exit_code == 0, done.output
    assert "768 values a slide" in done.output
    assert "656,641" in done.output
    assert "FAIL" in CliRunner().invoke(app, ["encoders", "check", "prism", "--random"]).output
