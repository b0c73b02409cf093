"""Which sources train, tune and test: by slide or patient, the same in every data set that shares one.

Nothing of a held-out source is used for training, early stopping, thresholds or temperatures. A TCGA
patient may appear in two data sets (TCGA-G9-6356 in monuseg and monusac), so the lists are of sources and
not of files.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from histome.datasets.fields import Field

TUNING: dict[str, tuple[str, ...]] = {
    "consep": ("train_1", "train_9", "train_15"),
    "monuseg": ("TCGA-21-5784", "TCGA-E2-A1B5", "TCGA-B0-5710"),
    "tnbc": ("patient 06",),
    "monusac": ("TCGA-A2-A0ES",),
    "crchistophenotypes": ("img1", "img14", "img24", "img34", "img47", "img57", "img70", "img81"),
}
HELD_OUT: dict[str, tuple[str, ...]] = {
    "consep": ("train_3", "train_6", "train_8", "train_16", "train_23"),
    "monuseg": (
        "TCGA-50-5931",
        "TCGA-AR-A1AS",
        "TCGA-B0-5698",
        "TCGA-CH-5767",
        "TCGA-NH-A8F7",
        "TCGA-G2-A2EK",
    ),
    "tnbc": ("patient 03", "patient 07"),
    "monusac": ("TCGA-55-7573", "TCGA-IZ-A6M9"),
    "crchistophenotypes": (
        *("img10", "img17", "img23", "img30", "img38", "img45", "img50", "img56"),
        *("img64", "img69", "img75", "img80", "img86", "img91", "img97", "img99"),
    ),
}


@dataclass(frozen=True)
class Split:
    """Fields to train on, to tune on (thresholds, temperature, following the training) and to report on."""

    train: list[Field]
    tuning: list[Field]
    held_out: list[Field]


def split_fields(fields: Iterable[Field]) -> Split:
    """Split by source; a source named for one data set is kept out of training in all of them."""
    tuning = {source for sources in TUNING.values() for source in sources}
    held_out = {source for sources in HELD_OUT.values() for source in sources}
    parts: tuple[list[Field], ...] = ([], [], [])
    for field in fields:
        parts[2 if field.source in held_out else 1 if field.source in tuning else 0].append(field)
    return Split(*parts)


def split_by_source(fields: Sequence[Field], seed: int = 0) -> Split:
    """Split any fields by source: a fifth of each data set's sources is held out, an eighth tunes.

    At least one source each where a data set has three; one with fewer trains only. The same seed gives the
    same split, whatever else is trained on; a source that two data sets share stays in one part.
    """
    part: dict[str, int] = {}
    for name in sorted({field.data_set for field in fields}):
        own = sorted({field.source for field in fields if field.data_set == name} - part.keys())
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        held_out, tuning = (max(1, round(len(own) * share)) if len(own) >= 3 else 0 for share in (0.2, 0.125))
        for k, source in enumerate(rng.permutation(own).tolist()):
            part[source] = 2 if k < held_out else 1 if k < held_out + tuning else 0
    parts: tuple[list[Field], ...] = ([], [], [])
    for field in fields:
        parts[part[field.source]].append(field)
    return Split(*parts)


def sources(fields: Sequence[Field]) -> dict[str, list[str]]:
    """Sources of each data set, for the card."""
    names = sorted({f.data_set for f in fields})
    return {name: sorted({f.source for f in fields if f.data_set == name}) for name in names}
