"""A model against its card: what any set of weights or any `Predictor` must do to be used."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histome.cells import find_cells
from histome.checks.doctor import Finding
from histome.errors import HistomeError, ModelError
from histome.models.card import Card
from histome.models.reference import TOLERANCE, largest_difference, reference_window, summarize
from histome.models.registry import find_model, registered_model
from histome.models.runtime import Network, Outputs, Predictor, checked_values, read_weights
from histome.models.tasks import CELL_TASKS, expected_outputs, unfit_classes
from histome.phantom import paint_field
from histome.slide.plain import array_slide
from histome.tissue.steadiness import LEAST_AGREEMENT, Steadiness, measure_steadiness

Check = tuple[str, Callable[[], str]]
# What a model gives for the reference window, computed once: a window of some kinds takes seconds.
First = Callable[[], Outputs]
# Mean difference at a seam as a share of the output's spread; the shipped models have 0.03 and 0.08.
_SEAM = 0.25
_BACKENDS = 1e-3
# The radius of a large nucleus: one cut by the field's edge may have its center beyond it.
_REACH_UM = 8.0
# Side of the drawn field that is moved.
_FIELD_UM = 640.0
# What a person's own class may raise while it is looked at.
_ERRORS = (HistomeError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, OSError)


def check_model(model: str | Path | Card | Predictor) -> list[Finding]:
    """Hold a model against its card; every finding that is not `fine` is a reason not to use it.

    Looked at: the card; the weights' checksum; names, shapes and types of the outputs; their ranges; that the
    same window gives the same bytes again, after other windows and in two threads at once; that two windows
    agree where they meet, `halo_px` deep, and one that is cut with the whole one; that a blank slide has no
    nuclei and a field smaller than the window none outside it (models of cells); that the map of a drawn
    field is the same wherever the field lies and shows no cut where windows meet (models of tissue); that
    both CPU backends agree; and the card's `reference` (means of the outputs for a drawn window, to 2 %),
    where it holds one.

    Parameters
    ----------
    model : str, Path, Card or Predictor
        Name of a shipped model, path of a card or its folder, a card, or an object with a `card` that is
        called as `models.runtime.Predictor` says. Checks of the file are left out for the last.

    Returns
    -------
    list of Finding
        One a check, in this order; the first that stops the others is the last. Nothing is raised for a bad
        model.
    """
    model = _registered(model)
    opened = cache(lambda: _predictor(model))
    findings = [_look(*check) for check in _of_file(model, opened)]
    if not all(finding.fine for finding in findings):
        return findings
    network = opened()
    first = cache(lambda: _copy(network(reference_window(network.card))))
    findings += [_look(*check) for check in _of_outputs(network, first)]
    if all(finding.fine for finding in findings):
        findings += [_look(*check) for check in _of_behavior(network, first)]
    return findings


def _registered(model: str | Path | Card | Predictor) -> str | Path | Card | Predictor:
    """Return the object behind the name of a model that is no file, else what was given."""
    if not isinstance(model, str):
        return model
    try:
        return registered_model(find_model(model)) or model
    except ModelError:  # the check of the card says it
        return model


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except _ERRORS as error:
        kind = "" if isinstance(error, HistomeError) else f"{type(error).__name__}: "
        return Finding(name, False, kind + " ".join(str(error).split()))


def _card(model: str | Path | Card | Predictor) -> Card:
    return find_model(model) if isinstance(model, str | Path) else getattr(model, "card", model)  # type: ignore[return-value]


def _predictor(model: str | Path | Card | Predictor) -> Predictor:
    return Network(_card(model), threads=2) if isinstance(model, str | Path | Card) else model


def _of_file(model: str | Path | Card | Predictor, opened: Callable[[], Predictor]) -> Iterator[Check]:
    yield "card", lambda: _fits_task(_card(model))
    if isinstance(model, str | Path | Card):
        yield "weights", lambda: _weights(_card(model))
        yield "loads", lambda: f"runs here on {opened().describe()['backend']}"  # type: ignore[attr-defined]


def _fits_task(card: Card) -> str:
    if (problem := unfit_classes(card)) is not None:
        raise ModelError(problem)
    return f"{card.name}, a {card.task} at {card.mpp:g} um/px"


def _weights(card: Card) -> str:
    return f"{len(read_weights(card)) / 1e6:.1f} MB, sha256 as in the card"


def _of_outputs(network: Predictor, first: First) -> Iterator[Check]:
    yield "outputs", lambda: _shapes(network, first())
    yield "values", lambda: _values(checked_values(network.card, first()))


def _shapes(network: Predictor, outputs: Outputs) -> str:
    for name, shape in expected_outputs(network.card).items():
        got = outputs.get(name)
        if got is None or got.shape != shape or got.dtype != "float32":
            seen = "missing" if got is None else f"{got.dtype} {got.shape}"
            raise ModelError(f"output {name!r} is {seen}; its card says float32 {shape}")
    return ", ".join(f"{name} {shape}" for name, shape in expected_outputs(network.card).items())


def _values(outputs: Outputs) -> str:
    return ", ".join(f"{name} {a.min():.3g} to {a.max():.3g}" for name, a in outputs.items())


def _of_behavior(network: Predictor, first: First) -> Iterator[Check]:
    yield "repeatable", lambda: _repeatable(network, first())
    yield "independent", lambda: _independent(network, first())
    yield "threads", lambda: _threads(network, first())
    yield "seam", lambda: _seam(network)
    if network.card.cut_px:
        yield "smaller", lambda: _smaller(network)
    if network.card.task in CELL_TASKS:
        yield "blank", lambda: _blank(network)
        yield "edge", lambda: _edge(network)
    else:
        steady = cache(lambda: measure_steadiness(network, _drawn_field(network.card)))
        yield "moved", lambda: _moved(steady())
        yield "cuts", lambda: _cuts(steady())
    if isinstance(network, Network):
        yield "backends", lambda: _backends(network.card)
    yield "reference", lambda: _reference(network.card, first())


def _same(a: Outputs, b: Outputs) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def _copy(outputs: Outputs) -> Outputs:
    """A model may hand out the same memory again."""
    return {name: array.copy() for name, array in outputs.items()}


def _repeatable(network: Predictor, first: Outputs) -> str:
    if not _same(first, network(reference_window(network.card))):
        raise ModelError("the same window gives other values the second time")
    return "the same window gives the same bytes"


def _others(network: Predictor) -> list[NDArray[np.uint8]]:
    """The reference window and two unlike it: a dark one, upside down, and a white one."""
    image = reference_window(network.card)
    return [image, image[:, ::-1] // 2, np.full_like(image, 255)]


def _independent(network: Predictor, first: Outputs) -> str:
    image, *rest = _others(network)
    for other in rest:
        network(other)
        if not _same(first, network(image)):
            raise ModelError("a window gives other values after another window")
    return "a window's values do not depend on those before it"


def _threads(network: Predictor, first: Outputs) -> str:
    images = _others(network)[:2]
    alone = [first, _copy(network(images[1]))]
    together = threading.Barrier(2)

    def run(k: int) -> bool:
        together.wait(timeout=60)
        return _same(alone[k], _copy(network(images[k])))

    with ThreadPoolExecutor(2) as pool:
        right = list(pool.map(run, range(len(images))))
    if not all(right):
        raise ModelError("two threads at once change the values")
    return "two threads at once change nothing"


def _seam(network: Predictor) -> str:
    """Compare two neighboring windows in a strip of 4 px of output round the line where their cores meet."""
    card = network.card
    if card.halo_px < 2 * card.stride:
        return f"halo_px is {card.halo_px}: windows that meet share no pixels"
    wide = reference_window(card, columns=card.window_px + card.core_px)
    left = _copy(network(np.ascontiguousarray(wide[:, :, : card.window_px])))
    right = _copy(network(np.ascontiguousarray(wide[:, :, card.core_px :])))
    return f"two windows differ where they meet by {_difference(card, left, right)}"


def _smaller(network: Predictor) -> str:
    """Compare a window with what is left of it without its first `cut_px` columns, beside their halo."""
    card = network.card
    if card.halo_px < 2 * card.stride or card.cut_px == card.window_px:
        return "no window is cut"
    image = reference_window(card)
    whole, cut = _copy(network(image)), network(np.ascontiguousarray(image[:, :, card.cut_px :]))
    gone = {name: card.cut_px * array.shape[-1] // card.window_px for name, array in whole.items()}
    # So that the strip that is compared lies where the whole window ends without its right halo.
    whole = {name: array[..., : gone[name] + 2 * _halo(card, array)] for name, array in whole.items()}
    return f"a window that is cut differs from the whole one by {_difference(card, whole, cut)}"


def _halo(card: Card, whole: NDArray[np.float32]) -> int:
    """Return the halo in pixels of an output of a whole window."""
    return card.halo_px * whole.shape[-2] // card.window_px


def _difference(card: Card, left: Outputs, right: Outputs) -> str:
    """Say how the last columns of one output but for its halo differ from those behind the other's halo."""
    worst = {}
    for name in left:
        halo = _halo(card, left[name])
        at = left[name].shape[-1] - halo
        a, b = left[name][..., at - 2 : at + 2], right[name][..., halo - 2 : halo + 2]
        spread = max(float(np.abs(left[name] - left[name].mean()).mean()), 1e-3)
        worst[name] = float(np.abs(a - b).mean()) / spread
    name = max(worst, key=lambda key: worst[key])
    if worst[name] > _SEAM:
        raise ModelError(
            f"two windows differ where they meet by {worst[name]:.2g} of the spread of {name!r}: "
            "halo_px is smaller than the model's field of view, or it normalizes each window by itself"
        )
    return f"{worst[name]:.2g} of the spread ({name})"


def _blank(network: Predictor) -> str:

    side = network.card.window_px
    slide = array_slide(np.full((side, side, 3), 255, np.uint8), network.card.mpp)
    found = len(find_cells(slide, None, network))
    if found:
        raise ModelError(f"{found:,} nuclei on a blank slide")
    return "no nuclei on a blank slide"


def _edge(network: Predictor) -> str:
    """A field of two fifths of a window on white, as the windows of a small image are padded."""
    window, side = network.card.window_px, 2 * network.card.window_px // 5
    pixels = np.full((window, window, 3), 255, np.uint8)
    pixels[:side, :side] = reference_window(network.card)[0, :side, :side]
    slide = array_slide(pixels, network.card.mpp)
    found = find_cells(slide, None, network)
    beyond = (
        np.maximum(found["x_um"].to_numpy(), found["y_um"].to_numpy()) > side * network.card.mpp + _REACH_UM
    )
    if beyond.any():
        raise ModelError(f"{beyond.sum():,} nuclei on the white beyond a small field")
    return f"{len(found):,} nuclei in a small field, none on the white beyond it"


def _drawn_field(card: Card) -> NDArray[np.uint8]:
    """At most as large as a window's core: it fits between the lines where windows meet."""
    side = min(card.core_px, round(_FIELD_UM / card.mpp)) // card.stride * card.stride
    return paint_field(side, mpp=card.mpp, rng=np.random.default_rng(7))


def _moved(steady: Steadiness) -> str:
    agreed = f"{100 * steady.agreement:.1f} % of a drawn field is of one class at three places"
    if not steady.agrees:
        raise ModelError(
            f"only {agreed}, not {100 * LEAST_AGREEMENT:.0f} %: what a pixel is depends on where it lies"
        )
    return agreed


def _cuts(steady: Steadiness) -> str:
    figures = (
        f"classes change across {100 * steady.at_seam:.1f} % of the line where windows meet, "
        f"{100 * steady.same_place:.1f} % where they do not, {100 * steady.elsewhere:.1f} % elsewhere"
    )
    if not steady.seamless:
        raise ModelError(f"{figures}: halo_px is too small, or the model looks at the window's border")
    return figures


def _backends(card: Card) -> str:

    image = reference_window(card)
    ort = Network(card, backend="cpu")(image)
    openvino = Network(card, backend="openvino", precision="f32")(image)
    worst = max(
        float(np.abs(openvino[name] - ort[name]).max() / max(1.0, np.abs(ort[name]).max())) for name in ort
    )
    if worst > _BACKENDS:
        raise ModelError(f"OpenVINO and ONNX Runtime differ by {worst:.2g} of the largest value")
    return f"OpenVINO and ONNX Runtime differ by {worst:.1g} of the largest value"


def _reference(card: Card, first: Outputs) -> str:
    wanted = card.reference
    if not wanted:
        return "the card holds none"
    found = summarize(first)
    difference = largest_difference({name: found.get(name, ()) for name in wanted}, wanted)
    if difference > TOLERANCE:
        raise ModelError(
            f"the outputs for the drawn window are {100 * difference:.1f} % off the card's reference"
        )
    return f"as in the card, to {100 * difference:.2f} %"
