"""What a curriculum rests on, read and tried before any training: the run and its --check begin here.

Whatever can be refused at the beginning is refused by `prepare`, so that what the check passes the run takes.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from histome.datasets.declared import declaration_of
from histome.datasets.fields import Field
from histome.datasets.published import load_labeled
from histome.datasets.splits import Split
from histome.errors import DataError, OutputError, UsageError
from histome.training.checkpoint import CHECKPOINT
from histome.training.processes import Worker
from histome.training.progress import say_now
from histome.training.uperhover.build import make_blank, make_network
from histome.training.uperhover.config import CurriculumConfig, LabeledConfig
from histome.training.uperhover.export import try_export
from histome.training.uperhover.pseudo import Piece, find_damaged, left_out, list_images, pieces

ALONE = Worker(0, 1, "cpu")
SETTINGS = "curriculum.json"
RESULT, LABELS = "result.json", "labels"
_NAMED = 5
_MANY = 10_000
# How long processes wait for each other, and what is computed twice, changes no number.
_FREE = {"training": {"timeout_s"}, "encoder": {"checkpointing"}}


class Prepared(NamedTuple):
    """What the stages work on.

    Attributes
    ----------
    fields : Split
        The labeled fields.
    pools : tuple of lists of Piece
        What each stage labels; nothing for the first and for those that are finished.
    left_out : str
        Which unlabeled images cannot be read; empty where all can, or another process looks.
    """

    fields: Split
    pools: tuple[list[Piece], ...]
    left_out: str


def prepare(config: CurriculumConfig, out: Path, worker: Worker = ALONE) -> Prepared:
    """Read the labels, decode the unlabeled images, export a fresh network to nowhere; write nothing.

    The first of several processes decodes and exports.

    Raises
    ------
    UsageError
        A setting that does not fit the network, weights that are not the encoder's, a source that is none.
    DataError
        A labeled set has no field to learn from, to tune on, or typed ones to score on; no unlabeled image
        can be shown at the scales of a stage, or most cannot be read.
    ModelError
        The network cannot be exported.
    OutputError
        `out` holds another curriculum or cannot be written.
    """
    refuse_other_settings(config, out)
    _refuse_unfit(config)
    fields = split_labeled(config)
    pools, damaged = _pools(config, out, decode=worker.rank == 0)
    if worker.rank == 0 and not (out / "stage1" / CHECKPOINT).exists():
        try_export(make_network(config), config.training.crop_px)
    return Prepared(fields, pools, damaged)


def settings_text(config: CurriculumConfig) -> str:
    """The settings that decide a result, as they stand beside it."""
    return config.model_dump_json(indent=1, exclude=_FREE)


def refuse_other_settings(config: CurriculumConfig, out: Path) -> None:
    """Raise OutputError for a folder that cannot be written or holds the results of other settings."""
    path = out / SETTINGS
    try:
        if path.exists() and path.read_text(encoding="utf-8") != settings_text(config):
            raise OutputError(f"{out}: holds the results of other settings; give another folder")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path}: cannot be read; give another folder") from error
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: cannot be written; permit writing in {there} or give another folder")


def _refuse_unfit(config: CurriculumConfig) -> None:
    try:
        patch_px = make_blank(config).patch_px
    except UsageError as error:
        raise UsageError(f"{config.file}: {error}") from error
    crop_px = config.training.crop_px
    if crop_px % (2 * patch_px):
        raise UsageError(
            f"{config.file}: training.crop_px is {crop_px}; give a multiple of {2 * patch_px}, twice the "
            "encoder's patch"
        )


def split_labeled(config: CurriculumConfig) -> Split:
    """Fields of the labeled sets, images at `training.mpp`: to learn from, to tune on, to score on."""
    parts: tuple[list[Field], ...] = ([], [], [])
    for labeled in config.labeled:
        about = labeled if labeled.tuning or labeled.held_out else declaration_of(labeled.data_set)
        found = load_labeled(labeled.data_set, Path(labeled.folder), image_mpp=config.training.mpp)
        sources = set[str]()
        for field in found:
            sources.add(field.source)
            kept = 2 if field.source in about.held_out else 1 if field.source in about.tuning else 0
            parts[kept].append(field)
        _refuse_unknown(labeled, sources, config.file)
    names = ", ".join(labeled.data_set for labeled in config.labeled)
    for fields, use in zip(parts, ("learn from", "tune on", "score on"), strict=True):
        if not any((field.sets > 0).any() for field in fields):
            raise DataError(f"{names}: no typed field to {use}; name sources in tuning and held_out")
    return Split(*parts)


def _refuse_unknown(labeled: LabeledConfig, sources: set[str], file: str) -> None:
    for name, given in (("tuning", labeled.tuning), ("held_out", labeled.held_out)):
        if unknown := [source for source in given if source not in sources]:
            known = ", ".join(sorted(sources)[:_NAMED]) + (", ..." if len(sources) > _NAMED else "")
            raise UsageError(
                f"{file}: [[labeled]] {labeled.data_set}: {name} names {unknown[0]!r}, which is no source in "
                f"{labeled.folder}; there are {known or 'none'}"
            )


def _pools(config: CurriculumConfig, out: Path, *, decode: bool) -> tuple[tuple[list[Piece], ...], str]:
    """What each stage that is not finished labels, and which of their images cannot be read."""
    waiting = [k for k in range(1, len(config.stages)) if not (out / f"stage{k + 1}" / RESULT).exists()]
    pools: list[list[Piece]] = [[] for _ in config.stages]
    if not waiting:
        return tuple(pools), ""
    pool = list_images(config.unlabeled)
    for k in waiting:
        found = pieces(pool, config.stages[k].mpps, config.training.patch_px)
        pools[k] = _by_lot(found, config.stages[k].patches, (config.training.seed, k))
    if not decode:
        return tuple(pools), ""
    unlabeled = [k for k in waiting if not (out / f"stage{k + 1}" / LABELS / "labels.json").exists()]
    paths = dict.fromkeys(piece.path for k in unlabeled for piece in pools[k])
    if len(paths) > _MANY:
        say_now(f"{len(paths):,} unlabeled images are decoded once, to find damaged ones before the training")
    damaged = [*pool.damaged, *find_damaged(paths)]
    return tuple(pools), left_out(damaged, len(paths) + len(pool.damaged)) if damaged else ""


def _by_lot(found: list[Piece], most: int | None, seed: Sequence[int]) -> list[Piece]:
    if most is None or most >= len(found):
        return found
    rng = np.random.default_rng(tuple(seed))
    return [found[k] for k in np.sort(rng.permutation(len(found))[:most])]
