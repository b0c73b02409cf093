"""Public lists of tasks, read as they are published: eva, HEST-bench, Patho-Bench; probes on their folds."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from histome.embedding.figure import short_number, write_rows_of
from histome.encoders import OpenedEncoder, find_encoder, open_encoder
from histome.errors import DataError, UsageError


class PublicTask(BaseModel):
    """One task of a public list.

    Attributes
    ----------
    benchmark : "eva", "hest-bench" or "patho-bench"
        Whose.
    path : str
        Beside the file of tasks, or where `--data` says: a YAML file of eva; a folder of HEST-bench (splits/,
        patches/, adata/, var_50genes.json); a folder of Patho-Bench (config.yaml, k=all.tsv).
    vectors : str or None
        Folder with the vectors of all encoders. eva: ENCODER/DATASET/manifest.csv. Patho-Bench:
        features_ENCODER/SLIDE.h5 or slide_features_ENCODER/SLIDE.h5. HEST-bench needs none: they are made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: Literal["eva", "hest-bench", "patho-bench"]
    path: str
    vectors: str | None = None


class FoldScores(NamedTuple):
    """What a probe reaches on one task: a score of each published fold, and how many rows there are."""

    task: str
    metric: str
    scores: list[float]
    n: int


class PublicScore(NamedTuple):
    """An encoder on a public task: mean and standard deviation over its published folds."""

    encoder: str
    benchmark: str
    task: str
    metric: str
    mean: float
    sd: float
    folds: int
    n: int


class PublicEncoder:
    """The encoder that a task is asked of; opened when pixels are to be read.

    Parameters
    ----------
    name, weights
        As `open_encoder` takes them.
    kept : Path
        Folder for vectors that are made.
    """

    def __init__(self, name: str, weights: Path | None, kept: Path) -> None:
        self.card, self.weights, self.kept = find_encoder(name), weights, kept
        self._opened: OpenedEncoder | None = None

    @property
    def name(self) -> str:
        """What folders of its vectors are called."""
        return self.card.name

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors (n, d) of tiles (n, h, w, 3)."""
        if self._opened is None:
            self._opened = open_encoder(self.card, self.weights)
        return self._opened(tiles)


# A public task's path, its vectors' folder and an encoder -> the scores of each metric.
Score = Callable[[Path, Path | None, PublicEncoder], list[FoldScores]]


def read_public_tasks(path: Path) -> list[PublicTask]:
    """Return the `[[public]]` tasks of a TOML file; raises DataError, one line."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return [PublicTask.model_validate(task) for task in told.get("public", [])]
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"{path}: no list of tasks ({' '.join(str(error).split())[:160]})") from error


def score_public(
    tasks: Sequence[PublicTask], encoders: Sequence[tuple[str, Path | None]], root: Path, out: Path
) -> list[PublicScore]:
    """Score encoders on public tasks; vectors that are made are kept below `out`, as their programs do."""
    found = []
    for name, weights in encoders:
        encoder = PublicEncoder(name, weights, out)
        for task in tasks:
            vectors = root / task.vectors if task.vectors else None
            for scored in _benchmarks()[task.benchmark](root / task.path, vectors, encoder):
                found.append(_summed(encoder.name, task.benchmark, scored))
    return found


def _benchmarks() -> dict[str, Score]:
    from histome.embedding.eva import score_eva
    from histome.embedding.hest_bench import score_hest_bench
    from histome.embedding.patho_bench import score_patho_bench

    return {"eva": score_eva, "hest-bench": score_hest_bench, "patho-bench": score_patho_bench}


def _summed(encoder: str, benchmark: str, found: FoldScores) -> PublicScore:
    scores = np.array(found.scores)
    mean, sd = float(np.mean(scores)), float(np.std(scores))
    return PublicScore(encoder, benchmark, found.task, found.metric, mean, sd, len(scores), found.n)


def write_public(scores: Sequence[PublicScore], out: Path) -> list[Path]:
    """Write public.csv and public.md: a row an encoder, task and metric; returns both."""
    out.mkdir(parents=True, exist_ok=True)
    table, page = out / "public.csv", out / "public.md"
    write_rows_of([score._asdict() for score in scores], table)
    page.write_text(public_markdown(scores), encoding="utf-8")
    return [table, page]


def public_markdown(scores: Sequence[PublicScore]) -> str:
    """Return the scores as a table, the best encoder of each task first."""
    lines = ["| task | metric | encoder | mean (SD over folds) | folds | n |", "|---|---|---|---|---|---|"]
    order = sorted(scores, key=lambda one: (one.benchmark, one.task, one.metric, -one.mean))
    for one in order:
        value = f"{short_number(one.mean)} ({short_number(one.sd)})"
        cells = (f"{one.benchmark} {one.task}", one.metric, one.encoder, value, str(one.folds), str(one.n))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says; raises DataError, UsageError where PyYAML is missing."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise UsageError("no module 'yaml'; install it: pip install 'histome[encoders]'") from error
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:120]})") from error


def classified(
    x: NDArray[np.float32], y: NDArray, folds: Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]
) -> dict[str, list[float]]:
    """Return the scores of logistic regression (C 1) on each fold of rows to learn and to ask about.

    macro-ovr-auc: mean over the classes of the area under the curve of one against the rest; bacc: mean over
    the classes of the share found.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    scores: dict[str, list[float]] = {"macro-ovr-auc": [], "bacc": []}
    for learn, ask in folds:
        probe = LogisticRegression(C=1.0, max_iter=10_000).fit(x[learn], y[learn])
        share = probe.predict_proba(x[ask])
        two = share.shape[1] == 2
        auc = roc_auc_score(y[ask], share[:, 1] if two else share, multi_class="ovr", labels=probe.classes_)
        scores["macro-ovr-auc"].append(float(auc))
        scores["bacc"].append(float(balanced_accuracy_score(y[ask], probe.predict(x[ask]))))
    return scores
