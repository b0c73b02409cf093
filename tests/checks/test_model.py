"""A right model passes the contract; each known fault is found by the check that is there for it."""

import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers.drawn_hover import hover_card, perfect_maps
from helpers.tiny_models import dark_detector, segmenter_model, stardist_model
from scipy import ndimage

from histome.checks import check_model
from histome.classes import CELL_CLASSES
from histome.models import registry
from histome.models.card import load_card, write_card
from histome.models.reference import reference_window, summarize
from histome.models.registry import list_models
from histome.models.runtime import Network, Predictor

pytestmark = pytest.mark.slow

CHECKS = ["card", "weights", "loads", "outputs", "values", "repeatable", "independent", "threads", "seam"]
CELL_CHECKS = [*CHECKS, "blank", "edge", "backends", "reference"]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return dark_detector(tmp_path_factory.mktemp("models") / "dark")


def faults(model):
    return [finding.name for finding in check_model(model) if not finding.fine]


def with_reference(card):
    reference = summarize(Network(card)(reference_window(card)))
    return card.model_copy(update={"reference": reference}).at(card.weights_path.parent)


def test_a_right_detector_passes_every_check(card):
    findings = check_model(with_reference(card))
    assert [finding.name for finding in findings] == CELL_CHECKS
    assert [finding.text for finding in findings if not finding.fine] == []
    assert "nuclei in a small field" in findings[CELL_CHECKS.index("edge")].text
    assert "0 nuclei" not in findings[CELL_CHECKS.index("edge")].text


def test_a_right_segmenter_passes_without_the_checks_of_cells(tmp_path):
    findings = check_model(segmenter_model(tmp_path / "tissue"))
    assert [finding.name for finding in findings] == [*CHECKS, "moved", "cuts", "backends", "reference"]
    assert all(finding.fine for finding in findings)


@pytest.mark.parametrize("shipped", list_models(), ids=lambda card: card.name)
def test_the_shipped_models_keep_the_contract(shipped):
    assert faults(shipped) == []


def test_a_folder_a_card_file_and_a_name_will_do(card):
    folder = card.weights_path.parent
    assert faults(folder) == faults(folder / "card.toml") == []


def test_a_reference_goes_through_the_card_file(card, tmp_path):
    write_card(with_reference(card), tmp_path)
    (tmp_path / "model.onnx").write_bytes(card.weights_path.read_bytes())
    assert load_card(tmp_path).reference == with_reference(card).reference
    assert check_model(tmp_path)[-1].text.startswith("as in the card")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda f: (f / "card.toml").unlink(), "card"),
        (lambda f: (f / "card.toml").write_text("name = 1"), "card"),
        (lambda f: (f / "model.onnx").unlink(), "weights"),
        (lambda f: (f / "model.onnx").write_bytes((f / "model.onnx").read_bytes() + b"\x00"), "weights"),
    ],
)
def test_a_bad_file_is_found_before_anything_runs(tmp_path, spoil, found):
    dark_detector(tmp_path / "m")
    spoil(tmp_path / "m")
    assert faults(tmp_path / "m")[0] == found
    assert "values" not in [finding.name for finding in check_model(tmp_path / "m")]


def test_outputs_of_another_name_or_shape_are_found(tmp_path):
    assert faults(stardist_model(tmp_path / "renamed", rename={"dist": "distances"})) == ["loads"]
    assert faults(stardist_model(tmp_path / "fewer", classes=7)) == ["loads"]


def test_other_classes_are_found(card):
    turned = card.model_copy(update={"classes": CELL_CLASSES[::-1]}).at(card.weights_path.parent)
    assert faults(turned) == ["card"]


def test_a_detector_of_white_is_found(tmp_path):
    assert faults(dark_detector(tmp_path / "white", darkest=400.0)) == ["blank", "edge"]


def test_other_weights_under_the_same_reference_are_found(card, tmp_path):
    reference = with_reference(card).reference
    swapped = dark_detector(tmp_path / "bgr", bgr=True)
    assert faults(swapped) == []  # by itself it is a right model
    swapped = swapped.model_copy(update={"reference": reference}).at(swapped.weights_path.parent)
    assert faults(swapped) == ["reference"]


@dataclass
class Changed:
    """A `Predictor` of one's own: the network with its outputs changed."""

    network: Predictor
    change: object
    calls: list = field(default_factory=list)

    @property
    def card(self):
        return self.network.card

    def __call__(self, image, /):
        self.calls.append(1)
        out = {name: array.copy() for name, array in self.network(image).items()}
        self.change(out, len(self.calls))
        return out


def _nothing(out, calls):
    pass


def _more(out, calls):
    out["prob"] *= 1 + 0.01 * (calls % 2 == 0)


def _noise(out, calls):
    out["logits"] += np.random.default_rng().normal(size=out["logits"].shape).astype(np.float32)


def _double(out, calls):
    out["dist"] = out["dist"].astype(float)


def _batch(out, calls):
    out["prob"] = out["prob"][0]


def _lost(out, calls):
    del out["logits"]


def _percent(out, calls):
    out["prob"] *= 100


def _negative(out, calls):
    out["dist"] -= 5


def _not_finite(out, calls):
    out["logits"][0, 0, 0, 0] = np.nan


def _normalized(out, calls):
    out["logits"] -= np.linspace(0, out["prob"].mean() * 500, out["logits"].shape[-1], dtype=np.float32)


def _mirrored(out, calls):
    for name in out:
        out[name] = np.ascontiguousarray(out[name][..., ::-1])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_noise, "repeatable"),
        (_more, "repeatable"),
        (_double, "outputs"),
        (_batch, "outputs"),
        (_lost, "outputs"),
        (_percent, "values"),
        (_negative, "values"),
        (_not_finite, "values"),
        (_normalized, "seam"),
        (_mirrored, "reference"),
    ],
)
def test_each_fault_of_a_predictor_is_found(card, change, found):
    assert found in faults(Changed(Network(with_reference(card), threads=2), change))


def test_a_model_whose_windows_may_be_cut_answers_in_them_as_in_whole_ones(card):
    card = card.model_copy(update={"cut_px": 32}).at(card.weights_path.parent)
    network = Network(card, threads=2)
    right = {finding.name: finding for finding in check_model(network)}
    assert right["smaller"].fine
    assert "smaller" in faults(Changed(network, _normalized))


def test_a_predictor_of_ones_own_passes_without_a_file(card):
    findings = check_model(Changed(Network(card, threads=2), _nothing))
    assert all(finding.fine for finding in findings)
    assert {"weights", "loads", "backends"}.isdisjoint(finding.name for finding in findings)


def _by_the_grid(out, calls):
    out["probabilities"][:, 3, :, ::4] = 1.0


def _by_turns(out, calls):
    # A window that is mostly to the right of another: the drawn windows of the other checks are as they were.
    out["probabilities"][:, :, :, :2] = 0.0
    out["probabilities"][:, 3, :, :2] = 1.0
    out["probabilities"][:, 4, :, -2:] = 1.0


def test_a_map_that_depends_on_the_place_is_found(tmp_path):
    network = Network(segmenter_model(tmp_path / "tissue"), threads=2)
    assert faults(Changed(network, _nothing)) == []
    assert "moved" in faults(Changed(network, _by_the_grid))


def test_a_cut_between_windows_is_found(tmp_path):
    card = segmenter_model(tmp_path / "tissue").model_copy(update={"halo_px": 0}).at(tmp_path / "tissue")
    assert "cuts" in faults(Changed(Network(card, threads=2), _by_turns))


def test_a_registered_model_is_held_against_its_card_by_name(card, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    own = Changed(Network(card, threads=2), _nothing)
    registry.register_model(own)
    assert [finding.name for finding in check_model(card.name)] == [f.name for f in check_model(own)]


class Remembering:
    """Lights up where the window before it was dark."""

    def __init__(self, network):
        self.network, self.card, self.before = network, network.card, 0.0

    def __call__(self, image, /):
        out = {name: array.copy() for name, array in self.network(image).items()}
        out["prob"] *= np.float32(1 - 0.1 * self.before)
        self.before = 1.0 if image.mean() < 128 else 0.0
        return out


def test_a_memory_of_the_window_before_is_found(card):
    assert faults(Remembering(Network(card, threads=2)))[0] == "independent"


class OneAtATime:
    """Keeps the window it works on where every thread can change it."""

    def __init__(self, network):
        self.network, self.card = network, network.card

    def __call__(self, image, /):
        self.image = image
        time.sleep(0.02)
        return self.network(self.image)


def test_a_class_that_threads_share_badly_is_found(card):
    assert faults(OneAtATime(Network(card, threads=2))) == ["threads"]


def test_an_error_in_ones_own_class_is_a_finding(card):
    class Broken:
        def __init__(self):
            self.card = card

        def __call__(self, image, /):
            raise RuntimeError("CUDA is gone\nreally")

    findings = check_model(Broken())
    assert findings[-1].text == "RuntimeError: CUDA is gone really"
    assert not findings[-1].fine


class DarkHover:
    """A hover model that calls every dark part a nucleus of its first class."""

    card = hover_card()

    def __call__(self, image, /):
        parts, n = ndimage.label(image[0, :, :, 1] < 128)
        classes, hv = perfect_maps(parts.astype(np.int32), codes=np.minimum(np.arange(n + 1), 1))
        return {"classes": classes[None], "hv": hv[None]}


def test_a_hover_model_is_held_against_the_same_contract():
    found = {finding.name: finding for finding in check_model(DarkHover())}
    # Parts that a window cuts have other maps than whole ones: this one sees as far as a part is wide.
    assert {name for name, finding in found.items() if not finding.fine} <= {"seam"}
    assert "0 nuclei" not in found["edge"].text
    broken = Changed(DarkHover(), lambda out, calls: out.pop("hv"))
    assert faults(broken)[0] == "outputs"
