"""Tasks of Patho-Bench (arXiv:2502.06750): slides or patients with labels and published folds."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.embedding.layouts import read_vectors
from histome.embedding.public_tasks import FoldScores, PublicEncoder, classified, read_yaml
from histome.errors import DataError, UsageError


def score_patho_bench(folder: Path, vectors: Path | None, encoder: PublicEncoder) -> list[FoldScores]:
    """Return the scores of a logistic probe on a task's published folds, for the metrics of its config.

    `folder` holds config.yaml (task_col, label_dict, metrics, sample_col) and k=all.tsv (case_id, slide_id,
    the label, fold_0, fold_1, ... of train and test). A slide's vector is that of slide_features_ENCODER,
    else the mean of its tiles' in features_ENCODER; a patient's the mean of the slides'.
    """
    config, rows = read_yaml(folder / "config.yaml"), _rows(folder / "k=all.tsv")
    task, sample = str(config["task_col"]), str(config.get("sample_col", "case_id"))
    if config.get("task_type") == "survival" or "label_dict" not in config:
        raise UsageError(f"{folder}: of Patho-Bench tasks with classes are read, not survival")
    if vectors is None:
        raise UsageError(f"{folder}: give `vectors`, the folder of TRIDENT with features_{encoder.name}")
    samples = list(dict.fromkeys(row[sample] for row in rows))
    mine = [[row for row in rows if row[sample] == name] for name in samples]
    held = {row["slide_id"]: _slide_vector(vectors, encoder.name, row["slide_id"]) for row in rows}
    x = np.stack([np.mean([held[row["slide_id"]] for row in some], axis=0) for some in mine])
    y = np.array([some[0][task] for some in mine])
    scores = classified(x, y, _folds([some[0] for some in mine]))
    name = f"{folder.parent.name}/{folder.name}"
    wanted = [metric for metric in config.get("metrics", []) if metric in scores] or list(scores)
    return [FoldScores(name, metric, scores[metric], len(y)) for metric in wanted]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; it lies beside config.yaml in a task of Patho-Bench")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _folds(rows: list[dict[str, str]]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for column in (name for name in rows[0] if name.startswith("fold_")):
        parts = np.array([row[column] for row in rows])
        yield parts == "train", parts == "test"


def _slide_vector(vectors: Path, encoder: str, slide: str) -> NDArray[np.float32]:
    for home in (f"slide_features_{encoder}", f"features_{encoder}"):
        if (file := vectors / home / f"{slide}.h5").is_file():
            found: Any = read_vectors(file)
            return found if found.ndim == 1 else found.mean(0)
    raise DataError(f"{vectors}: no vectors of {slide} by {encoder} (features_{encoder}/{slide}.h5)")
