"""What the commands ask: numbers read, pooled and made alike once, and every question of a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from histome.cohort.answers.page.answer import Answer, counted
from histome.cohort.answers.questions.batch import find_batch
from histome.cohort.answers.questions.choose import CORE, choose_metrics
from histome.cohort.answers.questions.clusters import find_clusters
from histome.cohort.answers.questions.combat import harmonize
from histome.cohort.answers.questions.compare import compare_groups
from histome.cohort.answers.questions.immune import immune_phenotypes
from histome.cohort.answers.questions.mixed import model_groups
from histome.cohort.answers.questions.outliers import find_outliers
from histome.cohort.answers.questions.survival import follow_up
from histome.cohort.answers.tables.measured import CohortNumbers, read_cohort
from histome.cohort.answers.tables.pooling import pool_patients
from histome.errors import DataError, UsageError

EACH = ("patient", "slide")


@dataclass(frozen=True)
class Asked:
    """What a question is about.

    Attributes
    ----------
    each : "patient" or "slide"
        What counts as one; the slides of a patient are pooled.
    metrics : tuple of str
        See `choose_metrics`.
    by, batch, time, event : str
        Columns of the manifest, "" where not asked for.
    covariates : tuple of str
        Columns held still in models.
    harmonized : str
        Batch to take off by ComBat; what goes with `by` is kept.
    seed : int
        Of all draws.
    """

    each: str = "patient"
    metrics: tuple[str, ...] = (CORE,)
    by: str = ""
    batch: str = ""
    time: str = ""
    event: str = ""
    covariates: tuple[str, ...] = ()
    harmonized: str = ""
    seed: int = 0

    def read(self, out: str | Path) -> "Given":
        """Return the slides, and what counts as one, of all metrics; made alike where that was asked for."""
        if self.each not in EACH:
            raise UsageError(f"no --each {self.each!r}; choose from {', '.join(EACH)}")
        slides = read_cohort(out)
        if self.harmonized:
            slides = harmonize(slides, self.harmonized, keep=[self.by] if self.by else [])
        return Given(slides, pool_patients(slides) if self.each == "patient" else slides)


class Given(NamedTuple):
    """What is asked: slides, and what counts as one, patients or the same slides."""

    slides: CohortNumbers
    ones: CohortNumbers


def compare(given: Given, asked: Asked) -> list[Answer]:
    """Return the comparison of groups, and the model where patients have several slides or covariates."""
    slides, ones = given
    answers = []
    if len(ones) == len(slides) or not _changes_within(slides, asked.by):
        answers.append(compare_groups(choose_metrics(ones, asked.metrics), asked.by, seed=asked.seed))
    several = asked.each == "patient" and len(ones) < len(slides)
    if several or asked.covariates:
        rows = slides if asked.each == "patient" else ones
        model = model_groups(choose_metrics(rows, asked.metrics), asked.by, covariates=asked.covariates)
        answers.append(model)
    return answers


def _changes_within(slides: CohortNumbers, by: str) -> bool:
    """Tell whether slides of one patient are in different groups: then rows of patients have no group."""
    pairs = set(zip(slides.about["patient"], slides.column(by).tolist(), strict=True))
    grouped = [patient for patient, group in pairs if group]
    return len(set(grouped)) < len(grouped)


def immune(given: Given, asked: Asked, *, tumor_per_mm2: float, stroma_per_mm2: float) -> list[Answer]:
    """Return the immune phenotypes."""
    ones = given.ones
    return [immune_phenotypes(ones, tumor_per_mm2=tumor_per_mm2, stroma_per_mm2=stroma_per_mm2, by=asked.by)]


def survival(given: Given, asked: Asked) -> list[Answer]:
    """Return curves, each metric alone, and all of them together."""
    ones = given.ones
    options = {"by": asked.by, "covariates": asked.covariates, "seed": asked.seed}
    return follow_up(choose_metrics(ones, asked.metrics), asked.time, asked.event, **options)


def batch(given: Given, asked: Asked) -> list[Answer]:
    """Return whether the batch can be told."""
    slides, ones = given
    rows = slides if asked.each == "patient" else ones
    return [find_batch(choose_metrics(rows, asked.metrics), asked.batch, by=asked.by, seed=asked.seed)]


def clusters(given: Given, asked: Asked) -> list[Answer]:
    """Return the clusters."""
    ones = given.ones
    return [find_clusters(choose_metrics(ones, asked.metrics), seed=asked.seed)]


def outliers(given: Given, asked: Asked) -> list[Answer]:
    """Return the slides that are unlike the others."""
    slides = given.slides
    return [find_outliers(choose_metrics(slides, asked.metrics))]


def everything(given: Given, asked: Asked) -> tuple[list[str], list[Answer]]:
    """Return what the page says first, and every answer that the columns asked for allow.

    A question that the cohort cannot answer is a section that says why.
    """
    slides, ones = given
    questions: list[tuple[str, Callable[[], Sequence[Answer]]]] = [
        ("Which slides are unlike the others?", lambda: outliers(given, asked))
    ]
    if asked.batch:
        questions.append((f"Can the {asked.batch} be told from the numbers?", lambda: batch(given, asked)))
    questions.append(("Inflamed, excluded or desert?", lambda: [immune_phenotypes(ones, by=asked.by)]))
    if asked.by:
        questions.append((f"Do the groups of {asked.by} differ?", lambda: compare(given, asked)))
    if asked.time and asked.event:
        questions.append(("How long without the event?", lambda: survival(given, asked)))
    questions.append(("Are there kinds of tumors?", lambda: clusters(given, asked)))
    answers = [each for k, (title, ask) in enumerate(questions) for each in _answered(k, title, ask)]
    return _lead(slides, ones, asked), answers


def _answered(number: int, title: str, ask: Callable[[], Sequence[Answer]]) -> Sequence[Answer]:
    try:
        return ask()
    except DataError as refusal:
        return [Answer(f"refused_{number}", title, (f"Not answered: {refusal}.",))]


def _lead(slides: CohortNumbers, ones: CohortNumbers, asked: Asked) -> list[str]:
    patients = f" of {counted(len(ones), 'patient')}" if ones.each == "patient" else ""
    chosen = len(choose_metrics(ones, asked.metrics).names)
    pooled = len(ones) < len(slides)
    lead = [
        f"{counted(len(slides), 'slide')}{patients}; the questions were asked of {counted(chosen, 'metric')} "
        f"({', '.join(asked.metrics)}). Every table is a CSV beside this page."
    ]
    if pooled:
        lead.append(
            "Numbers of a patient's slides were pooled: counts and areas summed, shares, means and "
            "densities as "
            "sum over sum; medians, L, Gini and their like are means weighted by n, approximations that the "
            "tables name as such."
        )
    if asked.harmonized:
        lead.append(
            f"All numbers were changed before: {slides.harmonized}. Batches were made alike, as far as known."
        )
    return lead
