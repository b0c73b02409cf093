"""TorchScript in the layout that InstanSeg's package exports, a network of one layer in it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from histome.errors import ModelError
from histome.models.importers import import_model, instanseg, read_classes_map
from histome.models.importers.percentiles import scale_channels
from histome.models.runtime import Network

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SIDE = 64


class Voter(torch.nn.Module):
    """The perceptron that gives pixels to nuclei."""

    def __init__(self, inputs=4):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = (torch.nn.Linear(n, m) for n, m in ((inputs, 6), (6, 6), (6, 1)))

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class Theirs(torch.nn.Module):
    """What the package exports: a traced network, a perceptron, sizes and thresholds."""

    pixel_size: float

    def __init__(self, *, seeds=1, heads=1, n_sigma=2, inputs=4, channels=3):
        super().__init__()
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(channels, heads * (2 + n_sigma + seeds), 3, padding=1)
        self.fcn = torch.jit.trace(conv.eval(), torch.rand(1, channels, 32, 32))
        self.pixel_classifier = Voter(inputs)
        self.cells_and_nuclei, self.pixel_size = heads == 2, 0.4
        self.dim_coords, self.n_sigma, self.dim_seeds = 2, n_sigma, seeds
        self.default_mask_threshold, self.default_overlap_threshold = 0.6, 0.35
        self.default_seed_threshold, self.default_peak_distance = 0.65, 7
        self.default_window_size, self.default_min_size, self.default_fg_threshold = 24, 20, 0.5

    def forward(self, x):
        said = self.default_mask_threshold + self.default_seed_threshold + self.default_overlap_threshold
        said = said + self.default_peak_distance + self.default_window_size + self.default_min_size
        said = said + self.pixel_size + self.dim_coords + self.n_sigma + self.dim_seeds
        said = said + self.default_fg_threshold + int(self.cells_and_nuclei)
        return self.fcn(x).sum() + self.pixel_classifier(torch.zeros(1, 4)).sum() + said


class Writes(torch.nn.Module):
    """A network that writes a file when it is run."""

    def forward(self, x: torch.Tensor):
        torch.save(x, "written.pt")
        return x


class Awakes(torch.nn.Module):
    """A network that runs when it is opened."""

    @torch.jit.export
    def __getstate__(self) -> int:
        return 3

    @torch.jit.export
    def __setstate__(self, state: int) -> None:
        self.training = state > 2

    def forward(self, x: torch.Tensor):
        return x


def save(net, path):
    torch.jit.script(net).save(str(path))
    return path


def take(path, out, classes="nucleus", **more):
    return import_model(
        "instanseg", path, out, classes=read_classes_map(classes), license_="Apache-2.0", **more
    )


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(instanseg, "_WINDOW_PX", SIDE)
    monkeypatch.setattr(instanseg, "_HALO_PX", 16)


def scaled(image):
    """Each channel by its percentiles, as their `percentile_normalize`."""
    low, high = np.percentile(image[0], (0.1, 99.9), axis=(0, 1))
    pixels = (image[0] - low) / np.maximum(high - low, 1e-3)
    return torch.from_numpy(np.clip(np.moveaxis(pixels, -1, 0), -2, 3).astype(np.float32))[None]


@pytest.mark.parametrize("heads", [1, 2], ids=["nuclei", "nuclei and cells"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_the_onnx_file_computes_what_the_script_does(heads, seeds, tmp_path):
    net = Theirs(heads=heads, seeds=seeds).eval()
    card = take(save(net, tmp_path / "instanseg.pt"), tmp_path / "mine")
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    found = Network(card, precision="f32", backend="cpu")(image)
    with torch.no_grad():
        maps = net.fcn(scaled(image))[:, : 4 + seeds].numpy()
    seed = maps[:, 4:5] / 15 + 0.5
    if seeds == 2:  # nothing is a seed that is no foreground
        seed = np.where(maps[:, 5:6] > 0, seed, 0)
        assert (seed == 0).any()
    np.testing.assert_allclose(found["seed"], seed, atol=1e-5)
    np.testing.assert_allclose(found["offset"], 8 / (1 + np.exp(-maps[:, :2])) - 4, atol=1e-4)
    np.testing.assert_allclose(found["spread"], maps[:, 2:4], atol=1e-4)


def test_the_card_says_what_the_script_says_of_itself(tmp_path):
    net = Theirs()
    card = take(save(net, tmp_path / "instanseg.pt"), tmp_path / "mine")
    assert (card.task, card.mpp, card.classes) == ("seed", 0.4, ("background", "nucleus"))
    cuts, votes = card.thresholds, card.votes
    assert (cuts.prob, cuts.nms, cuts.min_area_um2) == pytest.approx((0.6, 0.35, 20 * 0.16))
    assert (votes.seed, votes.apart_px, votes.reach_px) == (0.65, 7, 24)
    assert [len(layer) for layer in votes.layers] == [6, 6, 1]
    first = net.pixel_classifier.fc1.requires_grad_(False)
    assert votes.layers[0][2] == pytest.approx([*first.weight[2].tolist(), float(first.bias[2])])
    assert take(tmp_path / "instanseg.pt", tmp_path / "other", mpp=0.5).mpp == 0.5


def test_channels_are_scaled_as_numpy_scales_them():
    image = np.random.default_rng(3).integers(0, 200, (1, 24, 24, 3), np.uint8)
    image[..., 2] = 77  # of one color
    found = scale_channels(torch.from_numpy(image), 0.1, 99.9, least=1e-3).clamp(-2, 3)
    np.testing.assert_allclose(found, scaled(image), atol=1e-5)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", "cannot be read"),
        ("truncated", "damaged, or no TorchScript"),
        ("weights", "no TorchScript"),
        ("another", "it lacks pixel_classifier.fc1.weight"),
        ("sizes", "no InstanSeg with two coordinates and two spreads"),
        ("inputs", "asked by 4 inputs"),
        ("channels", "no InstanSeg of RGB images"),
        ("outputs", "its network gives"),
        ("classes", "has 1 classes besides background"),
        ("writes", "its code uses torch.save, which is not run"),
        ("awakes", "its code uses __setstate__, which is not run"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_left(what, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, changes = tmp_path / "instanseg.pt", {"sizes": {"n_sigma": 1}, "inputs": {"inputs": 3}}
    changes |= {"channels": {"channels": 1}}
    strange = {"another": Voter(), "writes": Writes(), "awakes": Awakes()}
    if what == "weights":
        torch.save(Theirs().pixel_classifier.state_dict(), path)
    elif what != "missing":
        net = strange.get(what) or Theirs(**changes.get(what, {}))
        if what == "outputs":
            net.dim_seeds = 2
        save(net, path)
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ModelError, match=said) as caught:
        take(path, tmp_path / "mine", "pannuke" if what == "classes" else "nucleus")
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each != path] == []
