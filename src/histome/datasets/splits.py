"""Which sources train, tune and test: by slide or patient, the same in every data set that shares one.

Nothing of a held-out source is used for training, early stopping, thresholds or temperatures. The sources of
each data set are in its declaration.
"""

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from histome.datasets.declaration import tcga_patient
from histome.datasets.declared import DECLARED
from histome.datasets.fields import Field

PartName = Literal["train", "tuning", "held-out"]


@dataclass(frozen=True)
class Split:
    """Fields to train on, to tune on (thresholds, temperature, following the training) and to report on.

    Attributes
    ----------
    pseudo : list[Field]
        Fields to train on besides, labeled by a network and not by people.
    """

    train: list[Field]
    tuning: list[Field]
    held_out: list[Field]
    pseudo: list[Field] = field(default_factory=list)


def part_of(
    data_set: str, source: str, held_out: Mapping[str, Collection[str]] = MappingProxyType({})
) -> PartName:
    """The part that a source belongs to; `held_out`, by data set, in place of the declared sources.

    A TCGA patient that any data set keeps back is kept back in all of them: TCGA-G9-6356 is in monuseg and
    in monusac.
    """
    if _listed(data_set, source, {name: each.held_out for name, each in DECLARED.items()} | dict(held_out)):
        return "held-out"
    tuning = _listed(data_set, source, {name: each.tuning for name, each in DECLARED.items()})
    return "tuning" if tuning else "train"


def _listed(data_set: str, source: str, kept: Mapping[str, Collection[str]]) -> bool:
    patient = tcga_patient(source)
    if patient is None:
        return source in kept.get(data_set, ())
    return any(tcga_patient(name) == patient for names in kept.values() for name in names)


def split_fields(
    fields: Iterable[Field], held_out: Mapping[str, Collection[str]] = MappingProxyType({})
) -> Split:
    """Split by source, as the data sets declare it.

    Parameters
    ----------
    held_out : Mapping[str, Collection[str]]
        Sources, by data set, in place of the declared ones. The sources of `pannuke_figures` are organs: so
        each organ is left out in turn.
    """
    return _split(fields, lambda f: part_of(f.data_set, f.source, held_out))


def _split(fields: Iterable[Field], part: Callable[[Field], PartName]) -> Split:
    parts: dict[PartName, list[Field]] = {"train": [], "tuning": [], "held-out": []}
    for f in fields:
        parts[part(f)].append(f)
    return Split(parts["train"], parts["tuning"], parts["held-out"])


def split_by_source(fields: Sequence[Field], seed: int = 0) -> Split:
    """Split any fields by source: a fifth of each data set's sources is held out, an eighth tunes.

    At least one source each where a data set has three; one with fewer trains only. The same seed gives the
    same split, whatever else is trained on; a source that two data sets share stays in one part.
    """
    part = parts_by_source([(f.data_set, f.source) for f in fields], seed)
    return _split(fields, lambda f: part[f.source])


def parts_by_source(of: Sequence[tuple[str, str]], seed: int = 0) -> dict[str, PartName]:
    """Return the part of each source, as `split_by_source` splits; `of` are data sets and their sources."""
    part: dict[str, PartName] = {}
    for name in sorted({data_set for data_set, _ in of}):
        own = sorted({source for data_set, source in of if data_set == name} - part.keys())
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        held_out, tuning = (max(1, round(len(own) * share)) if len(own) >= 3 else 0 for share in (0.2, 0.125))
        for k, source in enumerate(rng.permutation(own).tolist()):
            part[source] = "held-out" if k < held_out else "tuning" if k < held_out + tuning else "train"
    return part


def split_labeled(fields: Sequence[Field], seed: int = 0) -> Split:
    """Split as the data sets declare it where they do and their kept-back sources are there, else by source.

    So what the shipped models keep back stays kept back, a patient of theirs in other data too, and their
    scores and a new model's compare.
    """
    declared = {
        name
        for name in {f.data_set for f in fields}
        if {part_of(name, f.source) for f in fields if f.data_set == name} >= {"tuning", "held-out"}
    }
    kept = [f.data_set in declared or part_of(f.data_set, f.source) != "train" for f in fields]
    as_declared = split_fields(f for f, is_kept in zip(fields, kept, strict=True) if is_kept)
    drawn = split_by_source([f for f, is_kept in zip(fields, kept, strict=True) if not is_kept], seed)
    return Split(
        as_declared.train + drawn.train,
        as_declared.tuning + drawn.tuning,
        as_declared.held_out + drawn.held_out,
    )


def sources(fields: Sequence[Field]) -> dict[str, list[str]]:
    """Sources of each data set, for the card."""
    names = sorted({f.data_set for f in fields})
    return {name: sorted({f.source for f in fields if f.data_set == name}) for name in names}
