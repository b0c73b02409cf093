"""From trained weights to a nuclei model: the one way, of a user's own models and of the shipped one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor, nn

from histome.cells import find_cells
from histome.classes import CELL_CLASSES
from histome.datasets.fields import IMAGE_MPP, Field
from histome.datasets.splits import Split, sources
from histome.models.card import Card
from histome.models.label_support import Support
from histome.models.runtime import Network
from histome.slide.plain import array_slide
from histome.training.cards import label_support, reference_of, rewrite_card
from histome.training.nuclei.calibrate import (
    calibrate,
    choose_thresholds,
    class_log_weights,
    export_nuclei,
    first_window,
    move_logits,
    run_network,
    stain_range,
)
from histome.training.nuclei.familiarity import fit_familiarity
from histome.training.nuclei.targets import RAYS, STRIDE
from histome.training.nuclei.train import Recipe, make_network
from histome.validation.evidence import evidence
from histome.validation.nuclei import FieldScore, found_from_table, rounded, score_field, score_tables

# The cells of a field and um per pixel of their outlines, through the code that profiles a slide.
FindInField = Callable[[Field, Network], tuple[pa.Table, float]]


def find_in_image(field: Field, network: Network) -> tuple[pa.Table, float]:
    """The cells of a field, in its image at `IMAGE_MPP`."""
    slide = array_slide(field.image, IMAGE_MPP, name="field")
    return find_cells(slide, None, network), IMAGE_MPP


def trained_network(recipe: Recipe, weights: Mapping[str, Tensor]) -> nn.Module:
    """The nuclei network of a recipe with trained weights."""
    net = make_network(recipe)
    net.load_state_dict(dict(weights))
    return net


def ship(
    split: Split,
    recipe: Recipe,
    *,
    net: nn.Module,
    out: Path,
    about: Mapping[str, Any],
    find: FindInField = find_in_image,
    score: Callable[[Network], Mapping[str, Any]] | None = None,
) -> Card:
    """Write model.onnx and card.toml of a trained network into `out`; the scores come last.

    Export, thresholds, temperature and logit adjustment (on the tuning fields alone), the range of the stain,
    what is familiar, the reference, the scores: each is written when it is known, for the next step runs the
    model that the card describes.

    Parameters
    ----------
    net : nn.Module
        As `trained_network` returns one.
    about : Mapping[str, Any]
        Fields of the card that are known beforehand: name, description, license, window_px, halo_px, limits,
        training_data, training.
    find : FindInField
        Finds the cells of a field.
    score : callable(network) or None
        Scores of the finished model; those of the held-out and of the tuning fields where it is not given.
    """
    out.mkdir(parents=True, exist_ok=True)
    sha256 = export_nuclei(net, out / "model.onnx", about["window_px"])
    same = {"task": "stardist", "classes": CELL_CLASSES, "mpp": IMAGE_MPP, "stride": STRIDE, "n_rays": RAYS}
    card = rewrite_card(Card.model_validate({**same, **about, "sha256": sha256}), out)
    card = _calibrated(card, split, recipe, out)
    network = Network(card, precision="f32")
    outlined = [field for field in split.train if field.shapes]
    training = card.training | {
        "tuning_sources": sources(split.tuning),
        "held_out_sources": sources(split.held_out),
        "stain": stain_range([find(field, network)[0] for field in outlined]),
    }
    known = fit_familiarity(split, network)
    card = rewrite_card(card, out, training=training, familiarity=known, reference=reference_of(card))
    network = Network(card, precision="f32")
    scores = _scores(split, network, find, training.get("labels", {})) if score is None else score(network)
    return rewrite_card(card, out, scores=rounded(scores))


def ship_again(
    card: Card,
    fields: Sequence[Field],
    recipe: Recipe,
    *,
    net: nn.Module,
    out: Path,
    changes: Mapping[str, Any],
) -> Card:
    """Write a model again into `out` with a network trained once more, on all fields; nothing is chosen anew.

    Thresholds, temperature, what is familiar and the scores stay those of `card`, of the same recipe without
    the sources that it keeps back.

    Parameters
    ----------
    fields : Sequence[Field]
        All that the network learned from.
    changes : Mapping[str, Any]
        Fields of the card that are no longer true.
    """
    path = out / card.weights
    export_nuclei(net, path, card.window_px)
    sha256 = move_logits(path, -card.training["adjustment_share"] * class_log_weights(fields, recipe))
    again = rewrite_card(card, out, sha256=sha256, **changes)
    return rewrite_card(again, out, reference=reference_of(again))


def support_of(fields: Sequence[Field], before: Mapping[str, Support] | None = None) -> dict[str, str]:
    """How each class was learned from fields, and by the model before (`cards.label_support`)."""
    return label_support(np.concatenate([field.sets[1:] for field in fields]), before=before)


def _calibrated(card: Card, split: Split, recipe: Recipe, out: Path) -> Card:
    """The card with thresholds, temperature and adjusted logits, all chosen on the tuning fields."""
    network = Network(card, precision="f32")
    tuning = [first_window(field, card.window_px) for field in split.tuning]
    outputs = [(field, run_network(network, field)) for field in tuning]
    thresholds = card.thresholds.model_dump() | choose_thresholds(card, outputs)
    card = rewrite_card(card, out, thresholds=thresholds)
    log_weights = class_log_weights([*split.train, *split.pseudo], recipe)
    share, temperature, abstain = calibrate(card, outputs, log_weights)
    return rewrite_card(
        card,
        out,
        sha256=move_logits(card.weights_path, -share * log_weights),
        temperature=temperature,
        thresholds=thresholds | {"abstain": abstain},
        training=card.training | {"adjustment_share": share},
    )


def _scores(split: Split, network: Network, find: FindInField, labels: Mapping[str, str]) -> dict[str, Any]:
    def scored(fields: Sequence[Field]) -> list[FieldScore]:
        return [score_field(found_from_table(*find(f, network)), f) for f in fields]

    held_out = scored(split.held_out)
    return {
        "held_out": score_tables(held_out),
        "tuning": score_tables(scored(split.tuning)),
        **evidence(held_out, labels),
        "interval": "95 % percentile bootstrap over sources (fields when < 5)",
        "note": "thresholds and temperature were chosen on the tuning sources: those figures flatter",
    }
