"""Scores of a UperHoVer on labeled fields: classes by pixel, nuclei by outline, detection and type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.cells.decode import Decoded, DecodeSettings, decode
from histome.classes import PANNUKE_CELLS
from histome.datasets.fields import Field
from histome.geometry.polygons import centroids
from histome.models.card import Thresholds
from histome.training.uperhover.network import PIXEL_CLASSES, UperHoVer
from histome.training.uperhover.patches import patch_of
from histome.training.uperhover.train import HoverRecipe, predict
from histome.validation.maps.semantic import confusion, dice, mean_iou
from histome.validation.nuclei import FieldScore, score_field, summarize
from histome.validation.resampling import Estimate, bootstrap, draw_sums, interval
from histome.validation.scores import Found

_N = len(PIXEL_CLASSES)
_DRAWS = 10_000
# Of fewer sources every swap of two results is made: half a million at most.
_FEW_SOURCES, _SWAPS_AT_ONCE, _ROUNDING = 20, 10_000, 1e-12
_Score = Callable[[NDArray[np.floating]], NDArray[np.floating]]


class Cuts(NamedTuple):
    """Thresholds of the decoding, as in `cells.decode.hover`."""

    prob_threshold: float = 0.5
    split_per_um: float = 0.25
    min_area_um2: float = 8.0

    def thresholds(self) -> Thresholds:
        """The same, as a card has them."""
        return Thresholds(
            prob=self.prob_threshold, split_per_um=self.split_per_um, min_area_um2=self.min_area_um2
        )


class FieldOutputs(NamedTuple):
    """Outputs of a network for one field: probabilities (6, h, w), HV maps (2, h, w)."""

    classes: NDArray[np.float32]
    hv: NDArray[np.float32]


@dataclass(frozen=True)
class HoverScore:
    """Additive parts of one field; `pixels` is None where the field has no types."""

    cells: FieldScore
    pixels: NDArray[np.int64] | None
    found_map: NDArray[np.uint8]


def predict_fields(net: UperHoVer, fields: Sequence[Field], recipe: HoverRecipe) -> list[FieldOutputs]:
    """Run the network over fields."""
    return [FieldOutputs(*predict(net, patch_of(f, recipe.mpp).image, recipe.crop_px)) for f in fields]


def decode_outputs(out: FieldOutputs, mpp: float, cuts: Cuts) -> Decoded:
    """Nuclei of one field, in pixels of `mpp` um."""
    settings = DecodeSettings(mpp, cuts.thresholds(), cell_classes=PANNUKE_CELLS)
    return decode("hover", out._asdict(), settings)


def find_in(out: FieldOutputs, mpp: float, cuts: Cuts) -> Found:
    """Nuclei of one field, with the nine probabilities."""
    found = decode_outputs(out, mpp, cuts)
    probabilities = np.exp(found.logits).astype(np.float32)
    sure = np.zeros(len(found.scores), bool)
    return Found(centroids(found.outlines) * mpp, found.outlines * mpp, probabilities, sure)


def score(out: FieldOutputs, field: Field, mpp: float, cuts: Cuts) -> HoverScore:
    """Score one field."""
    truth = patch_of(field, mpp).classes
    found_map = out.classes.argmax(0).astype(np.uint8)
    pixels = confusion(truth, found_map, _N) if (field.sets > 0).any() else None
    return HoverScore(score_field(find_in(out, mpp, cuts), field), pixels, found_map)


def choose_cuts(outputs: Sequence[FieldOutputs], fields: Sequence[Field], mpp: float) -> Cuts:
    """The cuts with the best mean AJI over the tuning fields that have outlines."""
    shaped = [(s, f) for s, f in zip(outputs, fields, strict=True) if f.shapes]

    def aji(cuts: Cuts) -> float:
        scores = [score_field(find_in(s, mpp, cuts), f).outlines for s, f in shaped]
        return float(np.mean([o.aji for o in scores if o is not None]))

    grid = [Cuts(p, s) for p in (0.3, 0.4, 0.5, 0.6) for s in (0.03, 0.06, 0.12, 0.25, 0.5)]
    return max(grid, key=aji) if shaped else Cuts()


def sources_of(scores: Sequence[HoverScore]) -> list[str]:
    """The source of each field, with its data set."""
    return [f"{s.cells.data_set}/{s.cells.source}" for s in scores]


def pixel_figures(
    pixels: Sequence[NDArray[np.int64]], groups: Sequence[str], rng: np.random.Generator
) -> dict[str, Estimate]:
    """Mean IoU (background among the classes) and the Dice of each class that has a true pixel.

    `pixels` are the (classes, classes) counts of each field, `groups` their sources. An interval is of the
    draws of sources that hold every class of its figure, so that all draws are of the same classes.
    """
    if not pixels:
        return {}
    parts = np.stack([each.ravel() for each in pixels]).astype(float)
    classes = _true_classes(parts)
    figures = {"miou": bootstrap(parts, groups, _of_all(mean_iou, classes), rng=rng)}
    for k in np.flatnonzero(classes):
        score = _of_all(lambda sums, k=int(k): dice(sums, k), np.arange(_N) == k)
        figures[f"dice_{PIXEL_CLASSES[k]}"] = bootstrap(parts, groups, score, rng=rng)
    return figures


def _true_classes(parts: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which classes have a true pixel in any of the (n, classes^2) counts."""
    return parts.reshape(-1, _N, _N).sum((0, 2)) > 0


def _of_all(score: _Score, classes: NDArray[np.bool_]) -> _Score:
    """The score of sums in which each of these classes has a true pixel, NaN of others."""

    def of_all(sums: NDArray[np.floating]) -> NDArray[np.floating]:
        true = sums[..., : _N * _N].reshape(*sums.shape[:-1], _N, _N).sum(-1)
        return np.where((true[..., classes] > 0).all(-1), score(sums), np.nan)

    return of_all


def summary(scores: Sequence[HoverScore], rng: np.random.Generator) -> dict[str, Any]:
    """All figures: `pixels` over all typed fields, then those of the nuclei of each data set."""
    names = sorted({s.cells.data_set for s in scores})
    tables = {name: summarize([s.cells for s in scores if s.cells.data_set == name], rng) for name in names}
    typed = [s for s in scores if s.pixels is not None]
    pixels = [s.pixels for s in typed if s.pixels is not None]
    tables = {"pixels": pixel_figures(pixels, sources_of(typed), rng), **tables}
    return {name: {k: e.as_dict() for k, e in table.items()} for name, table in tables.items()}


def miou_gain(
    before: Sequence[NDArray[np.int64]], after: Sequence[HoverScore], rng: np.random.Generator
) -> dict[str, float]:
    """Mean IoU of `after` less that of `before` on the same fields, see `paired_gain`."""
    typed = [s for s in after if s.pixels is not None]
    return paired_gain(before, [s.pixels for s in typed if s.pixels is not None], sources_of(typed), rng)


def paired_gain(
    before: Sequence[NDArray[np.int64]],
    after: Sequence[NDArray[np.int64]],
    groups: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Mean IoU of the counts `after` less that of `before`: value, low, high, units, p.

    The interval is of draws of sources, both taken together, that hold every class. p is two-sided, of a
    permutation: if both are as good, what either found in a source could as well be the other's, so that in
    each source the two are swapped or not and the same pooled difference is taken; p is the share of all
    2^units swaps that differ as much as the two do (Noreen 1989, ISBN 978-0-471-61136-3; for pooled scores
    Yeh 2000, arXiv:cs/0008005). It is 2 / 2^units at least; of 20 sources and more it is of 10,000 swaps
    drawn, and of the given one. Swaps leave the true pixels as they are, so all are of the same classes.
    """
    pairs = zip(before, after, strict=True)
    parts = np.stack([np.r_[old.ravel(), new.ravel()] for old, new in pairs]).astype(float)
    gain = lambda sums: mean_iou(sums[..., _N * _N :]) - mean_iou(sums[..., : _N * _N])  # noqa: E731
    drawn = draw_sums(parts, rng=rng, units=groups, draws=_DRAWS)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    by_source = np.zeros((len(names), parts.shape[1]))
    np.add.at(by_source, index, parts)
    value = float(gain(by_source.sum(0)))
    told = interval(value, _of_all(gain, _true_classes(parts[:, : _N * _N]))(drawn), len(names)).as_dict()
    return told | {"p": round(_swapped_p(by_source, gain, rng), 4)}


def _swapped_p(by_source: NDArray[np.floating], gain: _Score, rng: np.random.Generator) -> float:
    """Share of the swaps of the two halves of rows whose pooled gain is as far from 0 as the given one."""
    n, total = len(by_source), by_source.sum(0)
    # What a swap of each source changes in the sums.
    change = np.roll(by_source, _N * _N, axis=1) - by_source
    if exact := n < _FEW_SOURCES:
        swaps = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        swaps = rng.integers(0, 2, (_DRAWS, n))
    blocks = np.array_split(swaps, max(1, len(swaps) // _SWAPS_AT_ONCE))
    gains = np.abs(np.concatenate([gain(total + block @ change) for block in blocks]))
    as_far = int((gains >= abs(float(gain(total))) - _ROUNDING).sum())
    return as_far / len(swaps) if exact else (as_far + 1) / (len(swaps) + 1)


def scale_figures(
    net: UperHoVer, fields: Sequence[Field], recipe: HoverRecipe, mpp: float, rng: np.random.Generator
) -> dict[str, Estimate]:
    """The figures of `pixel_figures` for fields and labels brought to `mpp` um/px."""
    pixels, groups = [], []
    for field in fields:
        if (field.sets > 0).any():
            patch = patch_of(field, mpp)
            found = predict(net, patch.image, recipe.crop_px)[0].argmax(0)
            pixels.append(confusion(patch.classes, found, _N))
            groups.append(f"{field.data_set}/{field.source}")
    return pixel_figures(pixels, groups, rng)
