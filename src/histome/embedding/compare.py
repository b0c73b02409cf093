"""Encoders side by side: what their vectors know, whom they follow, what they cost."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
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
# Of `Robustness`: what is no number, and the n that stands elsewhere in a row.
_NO_COLUMNS = ("missing", "by_k", "by_strength", "n")

Bags = list[NDArray[np.float32]]
Told = Callable[[str, str], object]


class Leakage(NamedTuple):
    """Share of rows whose slide a linear probe tells, learning from others of it; `chance` of guessing."""

    share: float
    chance: float


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
    leakage : Leakage or None
        Of the groups' identity, where two of them have rows enough.
    robustness : Robustness or None
        Where the task names a confounder.
    stain : dict
        Stain condition, and "unchanged", -> balanced accuracy of the linear probe that learned from unchanged
        tiles.
    """

    task: str
    n: int
    groups: int
    scores: dict[str, Estimate]
    leakage: Leakage | None
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
    """What is compared: names of encoders with weights, tasks, how tiles are shown, what is measured.

    Attributes
    ----------
    at_mpp : float, um/px, or None
        Of tiles, in place of each encoder's own; squares round points stay as large as the task says.
    eva : bool
        Are the vectors written as eva reads them, too: eva/ENCODER/TASK.
    """

    encoders: Sequence[tuple[str, Path | None]]
    tasks: Sequence[EncoderTask]
    root: Path
    stain: StainNormalization = "none"
    cost: bool = True
    probes: bool = True
    at_mpp: float | None = None
    eva: bool = False


def compare_encoders(
    asked: Comparison, out: Path, *, told: Told = lambda encoder, task: None
) -> list[Compared]:
    """Compare encoders on tasks; vectors are kept in out/vectors, and not made again.

    Splits are by group in five shuffled folds; intervals by a bootstrap over groups.
    """
    from histome.embedding.eva import write_eva

    found = [(task, items(task, asked.root)) for task in asked.tasks]
    results = []
    for name, weights in asked.encoders:
        opened = open_encoder(name, weights)
        tasks = []
        for task, rows in found:
            told(opened.card.name, task.name)
            vectors = _Vectors(opened, task, rows, out / "vectors", asked)
            tasks.append(_judge(task, rows, vectors, probes=asked.probes))
            if asked.eva:
                write_eva(vectors.bags(), rows, out / "eva" / opened.card.name / task.name.replace(" ", "_"))
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
        asked: Comparison,
    ) -> None:
        self._opened, self._task, self._rows, self._folder = opened, task, rows, folder
        self._stain: StainNormalization = asked.stain
        self._card = replace(opened.card, mpp=asked.at_mpp or opened.card.mpp)

    def bags(self, condition: str = "") -> Bags:
        about = (self._card.name, self._opened.sha256, self._task, self._rows, self._stain, condition)
        key = repr(about if self._card == self._opened.card else (*about, self._card.mpp))
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
            shown = read_tiles_of(item, self._card, self._task.side_um)
            if self._stain != "none":
                shown = fit_normalizer(self._stain, shown)(shown)
            tiles += [restain(tile, condition) if condition else tile for tile in shown]
            ends.append(len(tiles))
        starts = range(0, len(tiles), _BATCH)
        vectors = np.concatenate([self._opened(np.stack(tiles[k : k + _BATCH])) for k in starts])
        return np.split(vectors, ends[:-1])


def _judge(task: EncoderTask, rows: list[Item], vectors: "_Vectors | _Given", *, probes: bool) -> TaskResult:
    manifest, bags = manifest_of(rows), vectors.bags()
    x = np.stack([bag.mean(0) for bag in bags])
    confounded = len(set(manifest.confounder)) > 1
    return TaskResult(
        task=task.name,
        n=len(rows),
        groups=len(np.unique(manifest.group)),
        scores=_probed(x, bags, manifest) if probes else {},
        leakage=slide_leakage(x, manifest.group),
        robustness=measure_confounding(x, manifest) if confounded else None,
        stain=_stained(x, manifest, vectors) if task.stain else {},
    )


def _probed(x: NDArray[np.float32], bags: Bags, manifest: Manifest) -> dict[str, Estimate]:
    rng = partial(np.random.default_rng, _SEED)
    folds = partial(leave_sources_out, x, manifest.label, manifest.group)
    found = {name: folds(probe, rng=rng()) for name, probe in PROBES.items()}
    if max(map(len, bags)) > 1:
        found["abmil"] = _of_bags(bags, manifest)
    groups = manifest.group.tolist()
    return {name: balanced_accuracy(manifest.label, said, groups, rng=rng()) for name, said in found.items()}


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


def slide_leakage(x: NDArray[np.float32], groups: NDArray) -> Leakage | None:
    """Return the share of rows whose slide a linear probe tells; None where no two slides have 4 rows."""
    names, counts = np.unique(groups, return_counts=True)
    kept = np.isin(groups, names[counts >= _LEAST_ROWS])
    slides = len(np.unique(groups[kept]))
    if slides < 2:
        return None
    hits = source_hits(x[kept], groups[kept], np.random.default_rng(_SEED))
    return Leakage(float(hits.mean()), 1 / slides)


def _stained(x: NDArray[np.float32], manifest: Manifest, vectors: "_Vectors | _Given") -> dict[str, float]:
    """Balanced accuracy of a linear probe that learned from other groups, unchanged, under each condition."""
    scores = {}
    for condition in ("", *CONDITIONS):
        shown = np.stack([bag.mean(0) for bag in vectors.bags(condition)])
        found = np.empty_like(manifest.label)
        for fold in source_folds(np.random.default_rng(_SEED).permutation(np.unique(manifest.group))):
            out = np.isin(manifest.group, fold)
            found[out] = linear_probe(x[~out], manifest.label[~out], shown[out])
        truth = manifest.label
        shares = [np.mean(found[truth == label] == label) for label in np.unique(truth)]
        scores[condition or "unchanged"] = float(np.mean(shares))
    return scores


def stain_range(result: TaskResult) -> float | None:
    """Return the largest less the smallest score over the stain conditions."""
    scores = [result.stain[name] for name in CONDITIONS if name in result.stain]
    return max(scores) - min(scores) if scores else None


def compare_files(files: Sequence[Path], manifest_file: Path, *, probes: bool = True) -> list[Compared]:
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
        judged = _judge(task, found, _Given(np.split(vectors, len(vectors))), probes=probes)
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
            robust = {name: value for name, value in robust.items() if name not in _NO_COLUMNS}
            stain: dict[str, Any] = {f"stain_{name}": value for name, value in result.stain.items()}
            if result.stain:
                stain["stain_range"] = stain_range(result)
            about = {"encoder": one.encoder, "dimension": one.dimension, "task": result.task, "n": result.n}
            share, chance = result.leakage or (None, None)
            about |= {"groups": result.groups, "leakage": share, "leakage_chance": chance}
            rows.append(about | scores | robust | stain | cost)
    return rows
