"""The tables of a cohort from its folder, with what is asked for: tokens, patients, batches made alike."""

from collections.abc import Callable, Sequence
from pathlib import Path

from histome.cohort.answers.questions.combat import harmonize
from histome.cohort.answers.tables.measured import profiles_of, read_cohort
from histome.cohort.answers.tables.pooling import pool_patients
from histome.cohort.answers.tables.tokens import with_tokens
from histome.cohort.answers.tables.writing import write_tables
from histome.metrics.subregions import tile_size_um
from histome.store.profile import load_profile


def make_tables(
    out: str | Path,
    *,
    tokens: str | None = None,
    again: bool = False,
    harmonized: str = "",
    keep: Sequence[str] = (),
    progress: Callable[[str], object] = lambda _: None,
    workers: int | None = None,
) -> list[Path]:
    """Write the tables of a cohort (see `write_tables`) and return the files.

    Parameters
    ----------
    tokens : str or None
        Side of tiles, as "500um": adds the shares of phenotypes and tokens.
    again : bool
        Measure the slides of a patient again as one, instead of pooling their numbers.
    harmonized, keep : str, sequence of str
        Batch that ComBat takes off, and what it leaves in: adds tables of such numbers.
    """
    slides = read_cohort(out)
    if tokens:
        profiles = [profile for _, profile in profiles_of(out)]
        slides = with_tokens(slides, profiles, tile_size_um(tokens))
    made = [slides]
    if "patient" in slides.about:
        find = (lambda name: load_profile(Path(out) / name)) if again else None
        made.append(pool_patients(slides, profiles=find, workers=workers, progress=progress))
    if harmonized:
        alike = harmonize(slides, harmonized, keep=keep)
        made += [alike, *([pool_patients(alike)] if "patient" in slides.about else [])]
    return write_tables(out, made)
