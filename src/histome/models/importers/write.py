"""A checkpoint of others becomes a model of ours: ONNX and card in a new folder, or nothing at all."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from histome.errors import OutputError, UsageError
from histome.models.card import Card, load_card, write_card
from histome.models.importers.cellpose import import_cellpose
from histome.models.importers.cellvit import (
    CLASSIFIER,
    import_cellvit,
    import_histoplus,
    read_cellvit,
)
from histome.models.importers.checkpoint import read_checkpoint
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.hovernet import import_hovernet
from histome.models.importers.hovernext import hovernext_file, import_hovernext, read_hovernext
from histome.models.importers.imported import Imported
from histome.models.importers.instanseg import import_instanseg
from histome.models.importers.keras_weights import read_keras, weights_file
from histome.models.importers.stardist import import_stardist
from histome.models.importers.torchscript import script_weights
from histome.models.onnx_export import export_onnx
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network, weights_sha256
from histome.models.staging import staged_in

Importer = Callable[[Mapping[str, Tensor], Path, ForeignClasses], Imported]
IMPORTERS: Mapping[str, Importer] = {
    "hovernet": import_hovernet,
    "stardist": import_stardist,
    "cellvit": import_cellvit,
    "histoplus": import_histoplus,
    "hovernext": import_hovernext,
    "instanseg": import_instanseg,
    "cellpose": import_cellpose,
}
# How the weights of a kind are read, where they are no plain checkpoint of PyTorch.
_READERS: Mapping[str, Callable[[Path], Mapping[str, Tensor]]] = {
    "stardist": read_keras,
    "cellvit": read_cellvit,
    "hovernext": read_hovernext,
    "instanseg": script_weights,
}
# The file of the weights, of kinds that are folders.
_FILES: Mapping[str, Callable[[Path], Path]] = {"stardist": weights_file, "hovernext": hovernext_file}


def import_model(
    kind: str,
    checkpoint: Path,
    out: Path,
    *,
    classes: ForeignClasses,
    license_: str,
    classifier: Path | None = None,
    mpp: float | None = None,
) -> Card:
    """Write model.onnx and card.toml of a checkpoint into `out` and return the card.

    The card keeps whom to name, the checkpoint's sha256 and its license as the user states it. What the
    network gives on a drawn window, in 32-bit floats, is its reference.

    Parameters
    ----------
    kind : str
        One of `IMPORTERS`.
    out : Path
        A folder that does not exist; its name becomes the model's.
    classifier : Path or None
        Of CellViT++, the classifier of tokens that names the types; `classes` are its then.
    mpp : float or None, um/px
        Of the images that it learned from, where it is not what the kind is known for.

    Raises
    ------
    UsageError
        An unknown kind.
    ModelError
        A checkpoint of another kind, a damaged one, one that holds code, a class map of another length.
    OutputError
        The folder exists.
    """
    if kind not in IMPORTERS:
        raise UsageError(f"{kind}: choose the kind of model from {', '.join(IMPORTERS)}")
    if classifier and kind != "cellvit":
        raise UsageError(f"{kind}: only cellvit takes a classifier beside the checkpoint")
    weights = dict(_READERS.get(kind, read_checkpoint)(checkpoint))
    for name, value in read_checkpoint(classifier).items() if classifier else ():
        weights[CLASSIFIER + name] = value
    imported = IMPORTERS[kind](weights, checkpoint, classes)
    card = imported_card(
        checkpoint,
        kind=kind,
        name=out.name,
        license_=license_,
        task=imported.task,
        classes=("background", *imported.classes.classes),
        cell_classes=imported.classes.cells,
        mpp=mpp or imported.mpp,
        window_px=imported.window_px,
        halo_px=imported.halo_px,
        stride=imported.stride,
        n_rays=imported.n_rays,
        thresholds=imported.thresholds,
        votes=imported.votes,
        basins=imported.basins,
        source={"citation": imported.citation} | _classifier_source(classifier),
    )

    def save(path: Path) -> tuple[str, ...]:
        return export_onnx(imported.module, str(path), imported.window_px, imported.outputs)

    return write_new(out, card, save)


def _classifier_source(classifier: Path | None) -> dict[str, str]:
    if classifier is None:
        return {}
    return {"classifier": classifier.name, "classifier_sha256": weights_sha256(classifier)}


def write_new(out: Path, card: Card, save: Callable[[Path], tuple[str, ...]]) -> Card:
    """Write a card and the weights that `save` writes to the path it gets into the new folder `out`.

    `save` returns the names of further files beside it. The card gets their checksums and its reference;
    where anything fails, nothing is left.
    """
    if out.exists():
        raise OutputError(f"{out}: exists; give a new folder with -o")
    with staged_in(out.parent) as staging:
        weights = staging / card.weights
        external = {file: weights_sha256(staging / file) for file in save(weights)}
        changes = {"sha256": weights_sha256(weights), "external": external}
        card = card.model_copy(update=changes).at(staging)
        reference = dict(summarize(Network(card, precision="f32")(reference_window(card))))
        write_card(card.model_copy(update={"reference": reference}), staging)
        staging.rename(out)
    return load_card(out)


def imported_card(file: Path, *, kind: str, license_: str, **told: Any) -> Card:
    """The card of an imported file before its weights are written; `told` are fields of the card."""
    said = ("imported: histome knows no score of it and not what it was trained on",)
    checksum = weights_sha256(_FILES[kind](file) if kind in _FILES else file)
    source = {"place": file.name, "sha256": checksum, **told.pop("source", {})}
    fields = {
        "description": f"{kind} with the weights of {file.name}",
        "license": license_,
        "sha256": "0" * 64,
        "limits": (*said, *told.pop("limits", ())),
        "source": source,
    }
    try:
        return Card.model_validate(fields | told)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{file}: its card would not hold ({reason})") from error
