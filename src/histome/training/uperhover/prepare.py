"""What a curriculum rests on, read and tried before any training: the run and its --check begin here.

Whatever can be refused at the beginning is refused by `prepare`, so that what the check passes the run takes.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histome.datasets.declared import declaration_of
from histome.datasets.fields import Field
from histome.datasets.published import load_labeled
from histome.datasets.splits import Split
from histome.errors import DataError, OutputError, UsageError
from histome.training.checkpoint import CHECKPOINT
from histome.training.processes import Worker
from histome.training.progress import say_now, tell_unseen
from histome.training.uperhover.build import make_blank, make_network
from histome.training.uperhover.config import CurriculumConfig, LabeledConfig
from histome.training.uperhover.export import try_export
from histome.training.uperhover.pseudo import (
    LABELED,
    PIECES,
    Piece,
    find_damaged,
    labeled_numbers,
    left_out,
    list_images,
    pieces,
    read_pieces,
    refuse_most,
)
from histome.training.uperhover.result import RESULT, read_result

ALONE = Worker(0, 1, "cpu")
SETTINGS = "curriculum.json"
LABELS = "labels"
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
        What each stage has still to label; nothing where another process looks.
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
        A setting that does not fit the network, weights that are not the encoder's, a source that is none;
        a file of the run that is damaged.
    DataError
        A labeled set has no field to learn from, to tune on, or typed ones to score on; no unlabeled image
        can be shown at the scales of a stage, or most of its patches cannot be read.
    ModelError
        The network cannot be exported.
    OutputError
        `out` holds another curriculum or cannot be written.
    """
    refuse_other_settings(config, out)
    _refuse_unfit(config)
    fields = split_labeled(config)
    for path in sorted(out.glob(f"stage*/{RESULT}")):
        read_result(path)
    pools, damaged = _pools(config, out, worker)
    if worker.rank == 0 and not (out / "stage1" / CHECKPOINT).exists():
        try_export(make_network(config), config.training.crop_px)
    return Prepared(fields, pools, damaged)


def settings_text(config: CurriculumConfig) -> str:
    """The settings that decide a result, as they stand beside it, with whole paths."""
    return json.dumps(_with_whole_paths(config.model_dump(mode="json", exclude=_FREE)), indent=1)


def _with_whole_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that are the same in whatever folder the run was begun; raises for what are none."""
    for each in (*settings["labeled"], *settings["unlabeled"]):
        each["folder"] = str(Path(each["folder"]).resolve())
    if settings["encoder"]["weights"] is not None:
        settings["encoder"]["weights"] = str(Path(settings["encoder"]["weights"]).resolve())
    return settings


def _same_settings(text: str, config: CurriculumConfig) -> bool:
    try:
        return _with_whole_paths(json.loads(text)) == json.loads(settings_text(config))
    except (KeyError, TypeError, ValueError):
        return False


def refuse_other_settings(config: CurriculumConfig, out: Path) -> None:
    """Raise OutputError for a folder that cannot be written or holds the results of other settings."""
    path = out / SETTINGS
    try:
        if path.exists() and not _same_settings(path.read_text(encoding="utf-8"), config):
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
    tell_unseen([field for part in parts for field in part])
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


def _pools(config: CurriculumConfig, out: Path, worker: Worker) -> tuple[tuple[list[Piece], ...], str]:
    """What each stage has still to label, and which images cannot be read; the first process alone looks."""
    pools: list[list[Piece]] = [[] for _ in config.stages]
    folders = {k: out / f"stage{k + 1}" / LABELS for k in range(1, len(config.stages))}
    waiting = {
        k: folder
        for k, folder in folders.items()
        if not (folder.parent / RESULT).exists() and not (folder / LABELED).exists()
    }
    if worker.rank or not waiting:
        return tuple(pools), ""
    look, images, headers = _Look(), set[Path](), list[str]()
    begun = [k for k, folder in waiting.items() if (folder / PIECES).exists()]
    for k in begun:
        chosen = read_pieces(waiting[k])
        images.update(piece.path for piece in chosen)
        pools[k] = _left(chosen, waiting[k], f"patches of stage {k + 1}", look)
    if len(begun) < len(waiting):
        pool = list_images(config.unlabeled)
        headers = pool.damaged
        images.update(image.path for image in pool.images)
        refuse_most(len(headers), len(headers) + len(images), "unlabeled images", "".join(headers[:1]))
        for k in sorted(waiting.keys() - set(begun)):
            found = pieces(pool, config.stages[k].mpps, config.training.patch_px)
            most, seed = config.stages[k].patches, (config.training.seed, k)
            pools[k] = _by_lot(found, most, seed, f"patches of stage {k + 1}", look)
    damaged = [*headers, *look.damaged.values()]
    return tuple(pools), left_out(damaged, len(headers) + len(images))


class _Look:
    """Decodes each image once, however many stages ask for it."""

    def __init__(self) -> None:
        self.damaged: dict[Path, str] = {}
        self._seen: set[Path] = set()

    def at(self, chosen: Iterable[Piece]) -> dict[Path, str]:
        """Decode the images of pieces; returns what is wrong with all that were found damaged so far."""
        new = dict.fromkeys(piece.path for piece in chosen if piece.path not in self._seen)
        if len(new) > _MANY:
            say_now(
                f"{len(new):,} unlabeled images are decoded once, to find damaged ones before the training"
            )
        self._seen.update(new)
        self.damaged |= find_damaged(new)
        return self.damaged


def _left(chosen: Sequence[Piece], folder: Path, what: str, look: _Look) -> list[Piece]:
    """Of a stage that has begun to label, the pieces that are neither labeled nor damaged."""
    done = labeled_numbers(folder)
    left = [piece for number, piece in enumerate(chosen) if number not in done]
    damaged = look.at(left)
    good = [piece for piece in left if piece.path not in damaged]
    refuse_most(len(left) - len(good), len(chosen), what, next(iter(damaged.values()), ""))
    return good


def _by_lot(
    found: Sequence[Piece], most: int | None, seed: Sequence[int], what: str, look: _Look
) -> list[Piece]:
    """The first `most` of the lots that can be read, in the order in which they were found."""
    good = lots = np.random.default_rng(tuple(seed)).permutation(len(found)).tolist()
    most = most or len(found)
    while True:
        damaged = look.at(found[k] for k in good[:most])
        good, before = [k for k in good if found[k].path not in damaged], good
        if good[:most] == before[:most]:
            break
    drawn = good[:most]
    looked = lots.index(drawn[-1]) + 1 if len(drawn) == most else len(lots)
    refuse_most(looked - len(drawn), looked, what, next(iter(damaged.values()), ""))
    return [found[k] for k in sorted(drawn)]
