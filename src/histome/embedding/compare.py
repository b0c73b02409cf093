"""Encoders side by side: what their vectors know, whom they follow, what they cost."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.embedding.cost import EncoderCost, measure_cost
from histome.embedding.tasks import EncoderTask, Item, items, manifest_of, read_tiles_of
from histome.encoders import OpenedEncoder, open_encoder
from histome.encoders.normalization import StainNormalization, fit_normalizer
from histome.errors import DataError
from histome.validation.confounding import Manifest, Robustness, measure_confounding
from histome.validation.probes import (
    PROBES,
    balanced_accuracy,
    leave_sources_out,
    linear_probe,
    source_folds,
    source_hits,
)
from histome.validation.resampling import Estimate
from histome.validation.staining import CONDITIONS, Condition, restain

_BATCH, _SEED = 32, 0
# A source with fewer rows has none in one half of them.
_LEAST_ROWS = 4

Bags = list[NDArray[np.float32]]
Told = Callable[[str, str], object]


class TaskResult(NamedTuple):
    """An encoder on one task.

    Attributes
    ----------
    task : str
        Its name.
    n, groups : int
        Images or nuclei, and the slides or patients that they are of.
    scores : dict
        Probe -> balanced accuracy with its interval over groups; `abmil` where images have several tiles.
    leakage : float or None
        Share of rows whose group a linear probe tells, learning from the other half of the same groups;
        chance is one over their number.
    robustness : Robustness or None
        Where the task names a confounder.
    stain : dict
        Stain condition -> balanced accuracy of the linear probe that learned from unchanged tiles.
    """

    task: str
    n: int
    groups: int
    scores: dict[str, Estimate]
    leakage: float | None
    robustness: Robustness | None
    stain: dict[str, float]


class Compared(NamedTuple):
    """An encoder on all tasks, and its cost."""

    encoder: str
    dimension: int
    tasks: list[TaskResult]
    cost: EncoderCost | None

    @property
    def performance(self) -> float:
        """Mean over the tasks of the linear probe's balanced accuracy."""
        return float(np.mean([result.scores["linear"].value for result in self.tasks]))


class Comparison(NamedTuple):
    """What is compared: names of encoders with weights, tasks, and how tiles are shown."""

    encoders: Sequence[tuple[str, Path | None]]
    tasks: Sequence[EncoderTask]
    root: Path
    stain: StainNormalization = "none"
    cost: bool = True


def compare_encoders(
    asked: Comparison, out: Path, *, told: Told = lambda encoder, task: None
) -> list[Compared]:
    """Compare encoders on tasks; vectors are kept in out/vectors, and not made again.

    Splits are by group in five shuffled folds; intervals by a bootstrap over groups.
    """
    found = [(task, items(task, asked.root)) for task in asked.tasks]
    results = []
    for name, weights in asked.encoders:
        opened = open_encoder(name, weights)
        tasks = []
        for task, rows in found:
            told(opened.card.name, task.name)
            vectors = _Vectors(opened, task, rows, out / "vectors", asked.stain)
            tasks.append(_judge(task, rows, vectors))
        cost = measure_cost(name, weights) if asked.cost else None
        dimension = opened.card.dimension or 0
        results.append(Compared(opened.card.name, dimension, tasks, cost))
    return results


class _Vectors:
    """The vectors of a task's items, a bag of tiles each, as shown or under a stain condition."""

    def __init__(
        self,
        opened: OpenedEncoder,
        task: EncoderTask,
        rows: list[Item],
        folder: Path,
        stain: StainNormalization,
    ) -> None:
        self._opened, self._task, self._rows, self._folder = opened, task, rows, folder
        self._stain: StainNormalization = stain

    def bags(self, condition: str = "") -> Bags:
        key = repr(
            (self._opened.card.name, self._opened.sha256, self._task, self._rows, self._stain, condition)
        )
        name = f"{self._opened.card.name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        file = self._folder / name
        if file.exists():
            held = np.load(file)
            return np.split(held["vectors"], held["ends"][:-1])
        bags = self._made(CONDITIONS[condition] if condition else None)
        self._folder.mkdir(parents=True, exist_ok=True)
        partial_ = file.with_suffix(".partial.npz")
        np.savez(partial_, vectors=np.concatenate(bags), ends=np.cumsum([len(bag) for bag in bags]))
        partial_.replace(file)
        return bags

    def _made(self, condition: Condition | None) -> Bags:
        tiles, ends = [], []
        for item in self._rows:
            shown = read_tiles_of(item, self._opened.card, self._task.side_um)
            if self._stain != "none":
                shown = fit_normalizer(self._stain, shown)(shown)
            tiles += [restain(tile, condition) if condition else tile for tile in shown]
            ends.append(len(tiles))
        starts = range(0, len(tiles), _BATCH)
        vectors = np.concatenate([self._opened(np.stack(tiles[k : k + _BATCH])) for k in starts])
        return np.split(vectors, ends[:-1])


def _judge(task: EncoderTask, rows: list[Item], vectors: _Vectors) -> TaskResult:
    manifest, bags = manifest_of(rows), vectors.bags()
    x = np.stack([bag.mean(0) for bag in bags])
    rng = partial(np.random.default_rng, _SEED)
    folds = partial(leave_sources_out, x, manifest.label, manifest.group)
    found = {name: folds(probe, rng=rng()) for name, probe in PROBES.items()}
    if max(map(len, bags)) > 1:
        found["abmil"] = _of_bags(bags, manifest)
    groups = manifest.group.tolist()
    scores = {
        name: balanced_accuracy(manifest.label, said, groups, rng=rng()) for name, said in found.items()
    }
    confounded = len(set(manifest.confounder)) > 1
    return TaskResult(
        task=task.name,
        n=len(rows),
        groups=len(set(groups)),
        scores=scores,
        leakage=slide_leakage(x, manifest.group),
        robustness=measure_confounding(x, manifest) if confounded else None,
        stain=_stained(x, manifest, vectors) if task.stain else {},
    )


def _of_bags(bags: Bags, manifest: Manifest) -> NDArray:
    from histome.training.encoders.abmil import abmil_probe

    found = np.empty_like(manifest.label)
    for fold in source_folds(np.random.default_rng(_SEED).permutation(np.unique(manifest.group))):
        out = np.isin(manifest.group, fold)
        known, asked = (
            [bag for bag, is_out in zip(bags, out, strict=True) if is_out == side] for side in (0, 1)
        )
        found[out] = abmil_probe(known, manifest.label[~out], asked)
    return found


def slide_leakage(x: NDArray[np.float32], groups: NDArray) -> float | None:
    """Return the share of rows whose slide a linear probe tells; None where no two slides have 4 rows."""
    names, counts = np.unique(groups, return_counts=True)
    kept = np.isin(groups, names[counts >= _LEAST_ROWS])
    if len(np.unique(groups[kept])) < 2:
        return None
    return float(source_hits(x[kept], groups[kept], np.random.default_rng(_SEED)).mean())


def _stained(x: NDArray[np.float32], manifest: Manifest, vectors: _Vectors) -> dict[str, float]:
    """Balanced accuracy of a linear probe that learned from other groups, unchanged, under each condition."""
    scores = {}
    for condition in CONDITIONS:
        changed = np.stack([bag.mean(0) for bag in vectors.bags(condition)])
        found = np.empty_like(manifest.label)
        for fold in source_folds(np.random.default_rng(_SEED).permutation(np.unique(manifest.group))):
            out = np.isin(manifest.group, fold)
            found[out] = linear_probe(x[~out], manifest.label[~out], changed[out])
        truth = manifest.label
        shares = [np.mean(found[truth == label] == label) for label in np.unique(truth)]
        scores[condition] = float(np.mean(shares))
    return scores


def compare_files(files: Sequence[Path], manifest_file: Path) -> list[Compared]:
    """Compare files of vectors by the rows of a table: label, group and, where there is one, confounder."""
    from histome.datasets.fields import read_rows
    from histome.embedding.layouts import read_vectors

    rows = read_rows(manifest_file)
    if not rows or {"label", "group"} - rows[0].keys():
        raise DataError(f"{manifest_file}: a table with the columns label, group and, optionally, confounder")
    found = [Item(Path(), 1.0, None, row["label"], row["group"], row.get("confounder", "")) for row in rows]
    task = EncoderTask.model_construct(name=manifest_file.stem, source=[], side_um=None, stain=False)
    results = []
    for file in files:
        vectors = read_vectors(file)
        if len(vectors) != len(rows):
            raise DataError(f"{file}: {len(vectors)} vectors for {len(rows)} rows of {manifest_file.name}")
        judged = _judge(task, found, _Given(np.split(vectors, len(vectors))))  # type: ignore[arg-type]
        results.append(Compared(file.stem, vectors.shape[1], [judged], None))
    return results


class _Given(NamedTuple):
    """Vectors that were read from a file."""

    held: Bags

    def bags(self, condition: str = "") -> Bags:
        return self.held


def table_rows(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return one row an encoder and task: scores, robustness, cost, as numbers."""
    rows = []
    for one in compared:
        cost = one.cost._asdict() if one.cost else {}
        for result in one.tasks:
            scores = {
                f"{probe}{part}": getattr(score, field)
                for probe, score in result.scores.items()
                for part, field in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            robust = result.robustness._asdict() if result.robustness else {}
            robust = {name: value for name, value in robust.items() if name not in ("missing", "n")}
            stain = {f"stain_{name}": value for name, value in result.stain.items()}
            if result.stain:
                stain["stain_range"] = max(result.stain.values()) - min(result.stain.values())
            about = {"encoder": one.encoder, "dimension": one.dimension, "task": result.task, "n": result.n}
            about |= {"groups": result.groups, "leakage": result.leakage}
            rows.append(about | scores | robust | stain | cost)
    return rows
