"""Scores of a UperHoVer on labeled fields: classes by pixel, nuclei by outline, detection and type."""

from collections.abc import Sequence
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


def _sources(scores: Sequence[HoverScore]) -> list[str]:
    return [f"{s.cells.data_set}/{s.cells.source}" for s in scores]


def pixel_figures(
    pixels: Sequence[NDArray[np.int64]], groups: Sequence[str], rng: np.random.Generator
) -> dict[str, Estimate]:
    """Mean IoU (background among the classes) and the Dice of each class that has a true pixel.

    `pixels` are the (classes, classes) counts of each field, `groups` their sources.
    """
    if not pixels:
        return {}
    parts = np.stack([each.ravel() for each in pixels]).astype(float)
    figures = {"miou": bootstrap(parts, groups, mean_iou, rng=rng)}
    for k, name in enumerate(PIXEL_CLASSES):
        if parts.reshape(-1, _N, _N)[:, k].sum():
            figures[f"dice_{name}"] = bootstrap(parts, groups, lambda sums, k=k: dice(sums, k), rng=rng)
    return figures


def summary(scores: Sequence[HoverScore], rng: np.random.Generator) -> dict[str, Any]:
    """All figures: `pixels` over all typed fields, then those of the nuclei of each data set."""
    names = sorted({s.cells.data_set for s in scores})
    tables = {name: summarize([s.cells for s in scores if s.cells.data_set == name], rng) for name in names}
    typed = [s for s in scores if s.pixels is not None]
    pixels = [s.pixels for s in typed if s.pixels is not None]
    tables = {"pixels": pixel_figures(pixels, _sources(typed), rng), **tables}
    return {name: {k: e.as_dict() for k, e in table.items()} for name, table in tables.items()}


def miou_gain(
    before: Sequence[NDArray[np.int64]], after: Sequence[HoverScore], rng: np.random.Generator
) -> dict[str, float]:
    """Mean IoU of `after` less that of `before` on the same fields, sources drawn together, with its p.

    p is two-sided: twice the share of the draws on the other side of 0, of those and one more.
    """
    typed = [s for s in after if s.pixels is not None]
    pairs = zip(before, typed, strict=True)
    parts = np.stack([np.r_[old.ravel(), s.pixels.ravel()] for old, s in pairs if s.pixels is not None])
    gain = lambda sums: mean_iou(sums[..., _N * _N :]) - mean_iou(sums[..., : _N * _N])  # noqa: E731
    groups, value = _sources(typed), float(gain(parts.sum(0)))
    drawn = gain(draw_sums(parts, rng=rng, units=groups, draws=_DRAWS))
    other = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p = min(1.0, 2 * (other + 1) / (_DRAWS + 1))
    return interval(value, drawn, len(set(groups))).as_dict() | {"p": round(p, 4)}


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
