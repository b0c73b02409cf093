"""A checkpoint of others becomes a model of ours: ONNX and card in a new folder, or nothing at all."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from histome.errors import OutputError, UsageError
from histome.models.card import Card, load_card, write_card
from histome.models.importers.checkpoint import read_checkpoint
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.hovernet import import_hovernet
from histome.models.importers.imported import Imported
from histome.models.onnx_export import export_onnx
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network, weights_sha256

Importer = Callable[[Mapping[str, Tensor], Path, ForeignClasses], Imported]
IMPORTERS: Mapping[str, Importer] = {"hovernet": import_hovernet}


def import_model(kind: str, checkpoint: Path, out: Path, *, classes: ForeignClasses, license_: str) -> Card:
    """Write model.onnx and card.toml of a checkpoint into `out` and return the card.

    The card keeps whom to name, the checkpoint's sha256 and its license as the user states it. What the
    network gives on a drawn window, in 32-bit floats, is its reference.

    Parameters
    ----------
    kind : str
        One of `IMPORTERS`.
    out : Path
        A folder that does not exist; its name becomes the model's.

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
    if out.exists():
        raise OutputError(f"{out}: exists; give a new folder with -o")
    imported = IMPORTERS[kind](read_checkpoint(checkpoint), checkpoint, classes)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".importing-", dir=out.parent))
    try:
        weights = staging / "model.onnx"
        beside = export_onnx(imported.module, str(weights), imported.window_px, imported.outputs)
        card = _card(imported, kind, checkpoint, name=out.name, license_=license_)
        external = {file: weights_sha256(staging / file) for file in beside}
        card = card.model_copy(update={"sha256": weights_sha256(weights), "external": external}).at(staging)
        reference = dict(summarize(Network(card, precision="f32")(reference_window(card))))
        write_card(card.model_copy(update={"reference": reference}), staging)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return load_card(out)


def _card(imported: Imported, kind: str, checkpoint: Path, *, name: str, license_: str) -> Card:
    return Card.model_validate(
        {
            "name": name,
            "task": imported.task,
            "description": f"{kind} with the weights of {checkpoint.name}",
            "license": license_,
            "classes": ("background", *imported.classes.classes),
            "cell_classes": imported.classes.cells,
            "mpp": imported.mpp,
            "window_px": imported.window_px,
            "halo_px": imported.halo_px,
            "thresholds": imported.thresholds,
            "sha256": "0" * 64,
            "limits": ("imported: histome knows no score of it and not what it was trained on",),
            "source": {
                "place": checkpoint.name,
                "sha256": weights_sha256(checkpoint),
                "citation": imported.citation,
            },
        }
    )
