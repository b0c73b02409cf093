"""Cellpose-SAM checkpoints with a small encoder, in the layout that its package writes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.errors import ModelError
from histome.models.importers import import_model, read_classes_map
from histome.models.importers.cellpose import CellposeSam
from histome.models.runtime import Network

pytestmark = pytest.mark.slow

TOKEN, TOKENS, WIDTH, FEATURES = 8, 8, 32, 16
TILE = TOKEN * TOKENS
# Of cellpose 4.2.1.1's state dict with 32 channels and two blocks: what its names and shapes are read off.
# The distances are those of windows of 14 tokens and of 64, as Segment Anything has them, though all see all.
SHAPES = {
    "diam_labels": (1,),
    "diam_mean": (1,),
    "W2": (3 * TOKEN**2, 3, TOKEN, TOKEN),
    "encoder.pos_embed": (1, TOKENS, TOKENS, WIDTH),
    "encoder.patch_embed.proj.weight": (WIDTH, 3, TOKEN, TOKEN),
    "encoder.blocks.0.attn.rel_pos_h": (27, 16),
    "encoder.blocks.1.attn.rel_pos_h": (127, 16),
    **{f"encoder.blocks.{k}.mlp.lin1.weight": (64, WIDTH) for k in range(2)},
    "encoder.neck.0.weight": (FEATURES, WIDTH, 1, 1),
    "encoder.neck.1.weight": (FEATURES,),
    "encoder.neck.2.weight": (FEATURES, FEATURES, 3, 3),
    "encoder.neck.3.bias": (FEATURES,),
    "out.weight": (3 * TOKEN**2, FEATURES, 1, 1),
}


def net_of():
    torch.manual_seed(0)
    net = CellposeSam({name: torch.zeros(shape) for name, shape in SHAPES.items()}).eval()
    with torch.no_grad():
        for value in net.parameters():
            value.normal_(0, 0.3 if value.ndim > 1 else 0.1)
        net.W2.copy_(torch.eye(3 * TOKEN**2).reshape(net.W2.shape))
    return net


def state_of(net):
    return net.state_dict() | {name: torch.full((1,), 30.0) for name in ("diam_labels", "diam_mean")}


def take(path, out, classes="nucleus", **more):
    return import_model("cellpose", path, out, classes=read_classes_map(classes), license_="see it", **more)


def test_the_network_has_their_names_and_shapes():
    own = {name: tuple(value.shape) for name, value in state_of(net_of()).items()}
    assert {name: own[name] for name in SHAPES} == SHAPES


def averaged(net, pixels, side):
    """Tiles as `cellpose.core.run_net` lays and averages them, by numpy: fading to their borders."""
    away = np.abs(np.arange(TILE) - (TILE - 1) / 2)
    edge = 1 / (1 + np.exp((away - (TILE / 2 - 20)) / 7.5))
    total, weight = np.zeros((3, side, side)), np.zeros((side, side))
    starts = np.linspace(0, side - TILE, 3).astype(int)
    for y in starts:
        for x in starts:
            here = np.s_[..., y : y + TILE, x : x + TILE]
            with torch.no_grad():
                total[here] += net(torch.from_numpy(pixels[here]).float()[None])[0].numpy() * np.outer(
                    edge, edge
                )
            weight[here] += np.outer(edge, edge)
    return total / weight


def test_the_onnx_file_computes_what_their_package_does(tmp_path):
    net = net_of()
    torch.save(state_of(net), tmp_path / "cpsam")
    card = take(tmp_path / "cpsam", tmp_path / "mine")
    assert (card.task, card.mpp, card.window_px, card.halo_px) == ("flow", 0.25, 160, 8)
    assert (card.thresholds.prob, card.thresholds.flow_error) == (0.5, 0.4)
    image = np.random.default_rng(1).integers(0, 256, (1, 160, 160, 3), np.uint8)
    found = Network(card, precision="f32", backend="cpu")(image)
    low, high = np.percentile(image[0], (1, 99), axis=(0, 1))
    net.encoder.settle(TOKENS)
    maps = averaged(net, np.moveaxis((image[0] - low) / (high - low), -1, 0), 160)
    assert maps.std() > 0.1
    np.testing.assert_allclose(found["flow"][0], maps[:2] / 5, atol=1e-4)
    np.testing.assert_allclose(found["prob"][0, 0], 1 / (1 + np.exp(-maps[2])), atol=1e-4)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "cannot be read"),
        ("truncated", "damaged"),
        ("three", "no Cellpose-SAM: it lacks W2"),
        ("key", "it lacks encoder.blocks.1.norm1.weight"),
        ("more", "it also has encoder.cls_token"),
        ("shape", "has another shape of out.bias"),
        ("classes", "has 1 classes besides background"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path):
    path, state = tmp_path / "cpsam", state_of(net_of())
    if what in ("three", "key"):
        del state["W2" if what == "three" else "encoder.blocks.1.norm1.weight"]
    state |= {"more": {"encoder.cls_token": torch.zeros(1)}, "shape": {"out.bias": torch.zeros(5)}}.get(
        what, {}
    )
    if what != "missing":
        torch.save(state, path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=said) as caught:
        take(path, tmp_path / "mine", "pannuke" if what == "classes" else "nucleus")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each != path] == []
