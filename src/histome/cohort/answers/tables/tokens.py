"""Phenotypes of slides: which share of their tiles has each label and each token."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from histome.cohort.answers.tables.measured import CohortNumbers
from histome.errors import DataError, OutputError
from histome.phenotype.axes import phenotypes
from histome.phenotype.tiles import tile_phenotypes
from histome.store.profile import Profile

PREFIX = "PHENOTYPE_"


def with_tokens(slides: CohortNumbers, profiles: Sequence[Profile], size_um: float) -> CohortNumbers:
    """Return the numbers with a column for each label and token of the phenotypes: a share of tiles, 0-1.

    n counts the tiles that have a label on the axis, of tokens those that have any label. Raises DataError
    where no slide has cells.
    """
    found = [_shares(_tiles(profile, size_um)) for profile in profiles]
    names = sorted(set().union(*found))
    if not names:
        raise DataError(f"no tile of {size_um:g} um of any slide has enough cells for a phenotype")
    empty = (0.0, 0)
    pairs = np.array([[_of(each, name, empty) for name in names] for each in found])
    value, n = pairs[..., 0], pairs[..., 1].astype(np.int64)
    value = np.where(n > 0, value, np.nan)
    none = np.full(value.shape, np.nan)
    more = {"value": value, "low": none, "high": none, "n": n}
    joined = {key: np.concatenate([getattr(slides, key), part], axis=1) for key, part in more.items()}
    units = (*slides.units, *("1" for _ in names))
    return replace(slides, names=(*slides.names, *names), units=units, **joined)


def _of(shares: dict[str, tuple[float, int]], name: str, empty: tuple[float, int]) -> tuple[float, int]:
    """Return a label's share; 0 where its axis has labels on this slide, but never this one."""
    if name in shares:
        return shares[name]
    axis = name.removeprefix(PREFIX).split("_")[0]
    same = [n for key, (_, n) in shares.items() if key.startswith(f"{PREFIX}{axis}_")]
    return (0.0, same[0]) if same else empty


def _tiles(profile: Profile, size_um: float) -> pa.Table | None:
    try:
        return tile_phenotypes(profile.cells, size_um)
    except OutputError:
        return None


def _shares(tiles: pa.Table | None) -> dict[str, tuple[float, int]]:
    """Return share and n of each label and token by column name."""
    if tiles is None:
        return {}
    found: dict[str, tuple[float, int]] = {}
    for axis in phenotypes().axes:
        labels = [label for label in tiles[axis].to_pylist() if label is not None]
        for label, count in Counter(labels).items():
            found[f"{PREFIX}{axis.upper()}_{_word(label)}"] = count / len(labels), len(labels)
    tokens = [set(each) for each in tiles["generated_tokens"].to_pylist() if each]
    for token, count in Counter(token for each in tokens for token in each).items():
        found[f"{PREFIX}TOKEN_{_word(token.strip('[]'))}"] = count / len(tokens), len(tokens)
    return found


def _word(label: str) -> str:
    return "_".join("".join(sign if sign.isalnum() else " " for sign in label).upper().split())
