"""Tasks of eva (kaiko): its files of vectors, read and written."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.datasets.fields import read_rows
from histome.embedding.public_tasks import FoldScores, PublicEncoder, classified, read_yaml
from histome.embedding.tasks import Item
from histome.errors import DataError, UsageError
from histome.validation.probes import source_folds

_MANIFEST, _SEED = "manifest.csv", 0
_COLUMNS = ("origin", "embeddings", "target", "split")


def score_eva(file: Path, vectors: Path | None, encoder: PublicEncoder) -> list[FoldScores]:
    """Return the scores of a logistic probe that learned the split `train`, on `test` where there is one.

    `file` is a configuration of eva whose data are EmbeddingsClassificationDataset; its manifest is looked
    for in VECTORS/ENCODER/DATASET, where eva's ClassificationEmbeddingsWriter puts it. Without a split `test`
    it is asked about `val`.
    """
    if vectors is None:
        raise UsageError(f"{file}: give `vectors`, eva's folder of embeddings ({encoder.name}/...)")
    name, manifest = _dataset(file)
    home = vectors / encoder.name / name
    if not (home / manifest).is_file():
        raise DataError(f"{home / manifest}: no such manifest of eva")
    rows = read_rows(home / manifest)
    if not rows or set(_COLUMNS) - rows[0].keys():
        raise DataError(f"{home / manifest}: a manifest of eva has the columns {', '.join(_COLUMNS)}")
    x = np.stack([_read_tensor(home / row["embeddings"]) for row in rows])
    y, split = (np.array([row[column] for row in rows]) for column in ("target", "split"))
    asked = "test" if "test" in split else "val"
    scores = classified(x, y, iter([(split == "train", split == asked)]))
    n = int(np.isin(split, ["train", asked]).sum())
    return [FoldScores(f"{name} ({asked})", metric, found, n) for metric, found in scores.items()]


def _dataset(file: Path) -> tuple[str, str]:
    """The name of the data set (the last folder of its root) and of the manifest in a configuration."""
    told: Any = read_yaml(file)
    try:
        train = told["data"]["init_args"]["datasets"]["train"]
        kind, given = train["class_path"], train["init_args"]
        root = re.sub(r"\$\{[^}]*\}", "", str(given["root"]))
    except (KeyError, TypeError) as error:
        raise DataError(f"{file}: no configuration of eva with data of vectors (lacks {error})") from error
    if not kind.endswith("EmbeddingsClassificationDataset"):
        raise UsageError(f"{file}: of eva tasks with classes are read, not {kind.rpartition('.')[2]}")
    return Path(root).name or file.stem, str(given.get("manifest_file", _MANIFEST))


def _read_tensor(path: Path) -> NDArray[np.float32]:
    import torch

    found: Any = torch.load(path, map_location="cpu", weights_only=True)
    parts = found if isinstance(found, list) else [found]
    return np.concatenate([np.atleast_2d(part.float().numpy()) for part in parts]).mean(0)


def write_eva(vectors: Sequence[NDArray[np.float32]], rows: Sequence[Item], folder: Path) -> Path:
    """Write vectors of labeled images as eva does: manifest.csv, which is returned, and a .pt file each.

    A fifth of the groups is the split `val`, as in the first fold of `compare`; targets are the labels'
    places in their order. `folder` is ENCODER/TASK.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    groups = np.unique([row.group for row in rows])
    val = set(source_folds(np.random.default_rng(_SEED).permutation(groups))[0])
    labels = sorted({row.label for row in rows})
    with (folder / _MANIFEST).open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file)
        written.writerow([*_COLUMNS, "label", "group"])
        for number, (bag, row) in enumerate(zip(vectors, rows, strict=True)):
            name = f"{number:06d}.pt"
            torch.save(torch.from_numpy(np.ascontiguousarray(bag.mean(0), np.float32)), folder / name)
            split = "val" if row.group in val else "train"
            target = labels.index(row.label)
            written.writerow([row.file.name, name, target, split, row.label, row.group])
    return folder / _MANIFEST
