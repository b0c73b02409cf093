"""Backends agree, threads do not matter, and nothing but the right ONNX is run."""

import hashlib
import pickle
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from helpers.tiny_models import segmenter_model, stardist_model

from histome.cells.decode.decoded import by_cells
from histome.config import RuntimeConfig
from histome.errors import ModelError
from histome.models.registry import arithmetic, list_models, open_model
from histome.models.runtime import Network, checked_outputs, choose_backend, openvino_precision
from histome.models.tasks import expected_outputs


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return stardist_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8) for _ in range(8)]


def difference(a, b):
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


def test_outputs_have_the_shapes_that_the_card_promises(card, windows):
    outputs = Network(card)(windows[0])
    assert {name: array.shape for name, array in outputs.items()} == expected_outputs(card)
    assert {array.dtype for array in outputs.values()} == {np.dtype(np.float32)}


def test_a_segmenter_computes_the_known_function(tmp_path):
    card = segmenter_model(tmp_path / "segmenter")
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, ::2, ::2] = (10, 100, 200)
    mix = np.linspace(-0.01, 0.01, 21).reshape(7, 3)
    wanted = 1 / (1 + np.exp(-mix @ (10, 100, 200)))
    got = Network(card, precision="f32")(image)["probabilities"]
    np.testing.assert_allclose(got[0], np.broadcast_to(wanted[:, None, None], (7, 32, 32)), atol=1e-5)


def test_openvino_and_onnxruntime_agree(card, windows):
    openvino, ort = Network(card, backend="openvino", precision="f32"), Network(card, backend="cpu")
    assert max(difference(openvino(w), ort(w)) for w in windows) < 1e-4


def test_the_precision_is_what_openvino_says_this_cpu_computes_in():
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert openvino_precision() == ("bf16" if "BF16" in able else "f32")


def test_what_a_network_runs_with_is_known_before_it_is_opened(card):
    for runtime in (RuntimeConfig(), RuntimeConfig(precision="f32"), RuntimeConfig(backend="cpu")):
        running = open_model(card, runtime)
        assert arithmetic(card, runtime) == {"backend": running.backend, "precision": running.precision}


def test_bf16_stays_within_its_tolerance(card, windows):
    if openvino_precision() != "bf16":
        pytest.skip("this CPU does not compute in bf16")
    full, half = (
        Network(card, backend="openvino", precision="f32"),
        Network(card, backend="openvino", precision="bf16"),
    )
    # bf16 has 8 bits of mantissa (0.4 %); two layers with values of order 1.
    assert max(difference(full(w), half(w)) for w in windows) < 0.03


@pytest.mark.parametrize("shipped", list_models(), ids=lambda card: card.name)
@pytest.mark.slow
def test_shipped_models_agree_between_backends(shipped):
    """On coarse noise: f32 backends to 1e-3 of the largest value, the chosen precision to 1 % on average."""
    rng = np.random.default_rng(0)
    side = shipped.window_px
    coarse = rng.integers(120, 256, (1, side // 8, side // 8, 3)).astype(np.uint8)
    image = coarse.repeat(8, axis=1).repeat(8, axis=2)
    openvino = Network(shipped, backend="openvino", precision="f32")(image)
    ort = Network(shipped, backend="cpu")(image)
    chosen = Network(shipped)(image)
    for name in expected_outputs(shipped):
        scale = max(1.0, float(np.abs(ort[name]).max()))
        assert np.abs(openvino[name] - ort[name]).max() < 1e-3 * scale
        assert np.abs(chosen[name] - ort[name]).mean() < 0.01 * scale


@pytest.mark.skipif(choose_backend() != "cuda", reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu(card, windows):
    cuda, ort = Network(card, backend="cuda"), Network(card, backend="cpu")
    assert max(difference(cuda(w), ort(w)) for w in windows) < 1e-3


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
def test_threads_change_nothing(card, windows, backend):
    alone = [Network(card, backend=backend)(w) for w in windows]
    network = Network(card, threads=3, backend=backend)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(network, windows))
    for a, b in zip(alone, together, strict=True):
        assert all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize(
    ("value", "word"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (1.01, "runs from 0.5 to 1.01; 0 to 1")],
)
def test_one_value_that_cannot_be_ends_the_run(card, windows, value, word):
    class Wrong:
        def __init__(self):
            self.card = card

        def __call__(self, image):
            outputs = {
                name: np.full(shape, 0.5, np.float32) for name, shape in expected_outputs(card).items()
            }
            outputs["prob"][0, 0, 3, 5] = value
            return outputs

    with pytest.raises(ModelError, match=f"tiny: output 'prob' .*{word}"):
        checked_outputs(Wrong(), windows[0])


def test_openvino_lays_all_rays_of_a_grid_cell_beside_each_other(card, windows):
    """As it computes them: to lay 32 planes out took a tenth of the network's time, to read them more."""
    dist = Network(card, backend="openvino")(windows[0])["dist"][0]
    assert dist.shape == (32, 32, 32)
    assert np.shares_memory(by_cells(dist), dist)
    planes = np.ascontiguousarray(dist)
    np.testing.assert_array_equal(by_cells(planes), by_cells(dist))


def test_results_survive_the_next_call(card, windows):
    network = Network(card)
    first = network(windows[0])
    kept = {name: array.copy() for name, array in first.items()}
    network(windows[1])
    assert difference(first, kept) == 0


def test_a_window_of_another_size_or_type_is_a_bug_of_the_caller(card):
    network = Network(card)
    with pytest.raises(ValueError, match="expected uint8"):
        network(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        network(np.zeros((1, 64, 64, 3), np.float32))


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
def test_a_window_that_is_cut_gives_what_the_whole_one_does_inside(card, windows, backend):
    card = card.model_copy(update={"cut_px": 16}).at(card.weights_path.parent)
    network = Network(card, backend=backend, precision="f32")
    whole = {name: array.copy() for name, array in network(windows[0]).items()}
    assert {name: array.shape for name, array in whole.items()} == expected_outputs(card)
    cut = network(np.ascontiguousarray(windows[0][:, 16:, 16:48]))
    for name, array in cut.items():
        assert array.shape[2:] == (24, 16)
        inner = (..., slice(3, -3), slice(3, -3))
        np.testing.assert_allclose(array[inner], whole[name][..., 8:, 8:24][inner], atol=1e-5)


def test_windows_are_cut_by_the_steps_of_the_card_alone(card):
    with pytest.raises(ValueError, match=r"expected uint8 \(1, 64, 64, 3\)"):
        Network(card)(np.zeros((1, 32, 64, 3), np.uint8))
    network = Network(card.model_copy(update={"cut_px": 32}).at(card.weights_path.parent))
    assert network(np.zeros((1, 32, 64, 3), np.uint8))["prob"].shape == (1, 1, 16, 32)
    for shape in ((1, 48, 64, 3), (1, 0, 64, 3), (1, 96, 64, 3), (1, 32, 64, 4)):
        with pytest.raises(ValueError, match="expected uint8"):
            network(np.zeros(shape, np.uint8))


def test_cuda_asked_for_where_there_is_none_is_one_clear_line(card):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("ONNX Runtime has CUDA here")
    with pytest.raises(ModelError, match="no CUDA device"):
        Network(card, backend="cuda")


def test_cuda_that_cannot_start_is_said_and_done_without(card, windows, monkeypatch, caplog):
    """ONNX Runtime built with CUDA and a device, but no cuDNN: seen, not started."""
    monkeypatch.setattr("histome.models.runtime.choose_backend", lambda: "cuda")
    monkeypatch.setattr("histome.models.runtime.cuda_visible", lambda: True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of ONNX Runtime, about the provider it lacks
        network = Network(card)
        with pytest.raises(ModelError, match="cannot start CUDA"):
            Network(card, backend="cuda")
    assert network.backend == "openvino"
    assert "running on the CPU" in caplog.text
    assert network(windows[0]).keys() == expected_outputs(card).keys()


class OneDevice:
    """A session on a GPU of which two windows must be in at once, or it stops."""

    def __init__(self, card):
        self.shapes, self.both, self.inside, self.most = expected_outputs(card), Barrier(2), 0, 0
        self.mine = Lock()

    def get_providers(self):
        return ["CUDAExecutionProvider"]

    def get_inputs(self):
        return [SimpleNamespace(name="image", type="tensor(uint8)")]

    def get_outputs(self):
        return [SimpleNamespace(name=name, shape=list(shape)) for name, shape in self.shapes.items()]

    def run(self, names, feeds):
        with self.mine:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.both.wait(timeout=30)
        time.sleep(0.05)  # whoever is let in comes in now
        with self.mine:
            self.inside -= 1
        return [np.full(self.shapes[name], feeds["image"][0, 0, 0, 0], np.float32) for name in names]


def test_a_gpu_holds_two_windows_whatever_the_number_of_threads(card, windows, monkeypatch):
    """It needs memory for two, and none of the other threads waits in it."""
    device = OneDevice(card)
    monkeypatch.setattr("histome.models.runtime.cuda_visible", lambda: True)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: device)
    network = Network(card, threads=8, backend="cuda")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(network, windows))
    assert device.most == 2
    assert [out["prob"][0, 0, 0, 0] for out in found] == [float(w[0, 0, 0, 0]) for w in windows]


def replaced(card, folder, data, *, name="model.onnx", sha=True):
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest() if sha else card.sha256
    return card.model_copy(update={"weights": name, "sha256": digest}).at(folder)


def test_changed_weights_are_refused(card, tmp_path):
    data = card.weights_path.read_bytes() + b"\x00"
    with pytest.raises(ModelError, match="sha256"):
        Network(replaced(card, tmp_path, data, sha=False))


def test_missing_weights_are_refused(card, tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        Network(card.at(tmp_path))


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.onnx"])
def test_pickles_are_refused_before_anything_reads_them(card, tmp_path, name):
    with pytest.raises(ModelError, match="export the model to ONNX"):
        Network(replaced(card, tmp_path, pickle.dumps({"weights": [1.0]}), name=name))


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
def test_a_broken_onnx_is_one_clear_line(card, tmp_path, backend):
    with pytest.raises(ModelError, match="cannot load it") as caught:
        Network(replaced(card, tmp_path, b"\x08\x0a"), backend=backend)
    assert "\n" not in str(caught.value)


def test_half_an_onnx_is_refused_before_a_backend_reads_it(card, tmp_path):
    data = card.weights_path.read_bytes()
    with pytest.raises(ModelError, match="not a whole ONNX file"):
        Network(replaced(card, tmp_path, data[: len(data) // 2]))


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
def test_wrong_outputs_are_refused_at_load(tmp_path, backend):
    renamed = stardist_model(tmp_path / "renamed", rename={"dist": "distances"})
    with pytest.raises(ModelError, match="no output 'dist'"):
        Network(renamed, backend=backend)
    fewer = stardist_model(tmp_path / "fewer", classes=7)
    with pytest.raises(ModelError, match="'logits' is"):
        Network(fewer, backend=backend)
    segmenter = (
        segmenter_model(tmp_path / "segmenter")
        .model_copy(update={"task": "stardist"})
        .at(tmp_path / "segmenter")
    )
    with pytest.raises(ModelError, match="no output 'prob'"):
        Network(segmenter, backend=backend)


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
def test_a_card_with_another_window_than_its_weights_is_refused(card, tmp_path, backend):
    """Fixed weights cannot be had at another stride than the card says."""
    wrong = card.model_copy(update={"stride": 4}).at(card.weights_path.parent)
    with pytest.raises(ModelError, match="its card says"):
        Network(wrong, backend=backend)


def test_the_description_names_what_ran(card):
    assert Network(card, backend="cpu").describe() == {
        "name": "tiny",
        "version": "1",
        "sha256": card.sha256,
        "backend": "cpu",
        "precision": "f32",
    }
