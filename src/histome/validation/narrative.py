"""Scores of narratives: BLEU-4, ROUGE-L, sentences that the facts support, and the agreement of two raters.

BLEU: Papineni et al. 2002 (doi:10.3115/1073083.1073135), by sacrebleu; ROUGE-L: Lin 2004, by rouge-score.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histome.errors import UsageError, disk_reason
from histome.narrative.facts import Facts
from histome.narrative.verifier import Tally, Verdict, verify
from histome.store.disk import writing
from histome.validation.agreement import cohen_kappa
from histome.validation.raters.votes import check_case
from histome.validation.resampling import Estimate, bootstrap, ratio

# What a line that is none raises in json, in `Facts` and where something is made of it.
_NO_LINE = (ValueError, KeyError, TypeError, AttributeError, UsageError, RecursionError)


class Case(NamedTuple):
    """One narrative: a person's text (reference), the writer's, and the facts; None where not given."""

    reference: str | None
    hypothesis: str
    facts: Mapping[str, Any] | None
    place: str = "a case"  # where it was read, for what is said of it


class NarrativeScores(NamedTuple):
    """Scores over all cases; intervals (95 %) resample cases.

    Attributes
    ----------
    bleu_4 : float or None, 0-100
        Corpus BLEU of the cases with a reference; None where there is none.
    bleu_signature : str
        Sacrebleu's signature; empty where there is no BLEU.
    rouge_l : Estimate or None, 0-1
        Mean F1 of the longest common subsequence, of the same cases.
    supported, contradicted, not_checkable : Estimate or None, 0-1
        Such sentences / all sentences of the cases with facts; None where there is none.
    sentences, with_facts, with_reference : int
        Sentences of the cases with facts; how many cases have facts, and how many a reference.
    verdicts : tuple of (str, Verdict)
        Of each case with facts where it was read, and what became of its sentences.
    """

    cases: int
    bleu_4: float | None
    bleu_signature: str
    rouge_l: Estimate | None
    supported: Estimate | None
    contradicted: Estimate | None
    not_checkable: Estimate | None
    sentences: int
    with_facts: int
    with_reference: int
    verdicts: tuple[tuple[str, Verdict], ...]

    @property
    def undefined(self) -> str:
        """Why no share of the sentences has a value; empty where they have."""
        if self.sentences:
            return ""
        return "the texts have no sentence to check" if self.with_facts else "no facts were given"


def read_cases(path: str | Path) -> list[Case]:
    """Read cases from a JSONL file: on each line `hypothesis`, with `reference`, `facts` or both.

    Raises UsageError, one line, naming the line of the file.
    """
    return read_json_lines(path, _case, thing="case", give="hypothesis with reference, facts or both")


def _case(line: Mapping[str, Any], place: str) -> Case:
    hypothesis, reference, facts = line["hypothesis"], line.get("reference"), line.get("facts")
    if not isinstance(hypothesis, str) or not isinstance(reference, str | None):
        raise TypeError("they are no texts")
    if reference is None and facts is None:
        raise TypeError("neither 'reference' nor 'facts'")
    return Case(reference, hypothesis, facts, place)


def read_json_lines(
    path: str | Path, made: Callable[[dict[str, Any], str], Any], *, thing: str, give: str
) -> list[Any]:
    """Return what is made of the object of each line of a JSONL file and of its place, in words.

    Raises UsageError, one line, for another file or line; it says of what `thing` and what to `give`.
    """
    path, found = Path(path), []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        reason = f"cannot be read ({disk_reason(error)})"
        raise UsageError(f"{path}: {reason}; give a JSONL file of {thing}s") from error
    except UnicodeDecodeError as error:
        n = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}: line {n} is not UTF-8; give a JSONL file of {thing}s in UTF-8") from error
    for place, line in ((f"{path}: line {n}", line) for n, line in enumerate(lines, start=1) if line.strip()):
        try:
            if not isinstance(one := json.loads(line), dict):
                raise TypeError("no JSON object")
            found.append(made(one, place))
        except _NO_LINE as error:
            reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            if isinstance(error, RecursionError):
                reason = "nested too deeply"
            raise UsageError(f"{place} is no {thing} ({reason}); give {give}") from error
    if not found:
        raise UsageError(f"{path}: there is no {thing} in it")
    return found


def score_narratives(cases: Sequence[Case], *, rng: np.random.Generator) -> NarrativeScores:
    """Return the scores of narratives; those that need references need the `validate` extra."""
    pairs = [(case.reference, case.hypothesis) for case in cases if case.reference is not None]
    names = [str(k) for k in range(len(cases))]
    verdicts = tuple((case.place, _verdict(case)) for case in cases if case.facts is not None)
    tallies = [verdict.tally for _, verdict in verdicts]
    sentences = sum(tally.sentences for tally in tallies)
    parts = np.array([[*tally, tally.sentences] for tally in tallies], float).reshape(-1, 4)
    supported, contradicted, not_checkable = (
        bootstrap(parts[:, [k, 3]], names[: len(parts)], ratio, rng=rng) if sentences else None
        for k in range(len(Tally._fields))
    )
    return NarrativeScores(
        len(cases),
        *(_likeness(pairs, rng) if pairs else (None, "", None)),
        supported,
        contradicted,
        not_checkable,
        sentences,
        len(verdicts),
        len(pairs),
        verdicts,
    )


def write_sentences(path: Path, verdicts: Sequence[tuple[str, Verdict]]) -> None:
    """Write a CSV table of every sentence that was judged: case, sentence, state, reason."""
    with writing(path), path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "sentence", "state", "reason"))
        for place, verdict in verdicts:
            writer.writerows((place, each.text, each.state, each.reason) for each in verdict.sentences)


def _likeness(pairs: Sequence[tuple[str, str]], rng: np.random.Generator) -> tuple[float, str, Estimate]:
    """Return BLEU-4, its signature and ROUGE-L of (reference, hypothesis)."""
    # Imported here: rouge-score alone takes 1.1 s, and verdicts and the agreement of raters need neither.
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(max_ngram_order=4)
    references, hypotheses = zip(*pairs, strict=True)
    total = bleu.corpus_score(hypotheses, [references])
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rouge = [[scorer.score(*pair)["rougeL"].fmeasure, 1.0] for pair in pairs]
    names = [str(k) for k in range(len(pairs))]
    return float(total.score), str(bleu.get_signature()), bootstrap(np.array(rouge), names, ratio, rng=rng)


def case_doubts(cases: Sequence[Case]) -> list[str]:
    """One line each: texts that are empty, which lowers the scores."""
    doubts = []
    for name, plural in (("hypothesis", "hypotheses"), ("reference", "references")):
        given = [case for case in cases if getattr(case, name) is not None]
        if empty := [case for case in given if not getattr(case, name).strip()]:
            count = f"{len(empty)} of {len(given)} {plural} are empty"
            scored = any(case.reference is not None for case in empty)
            lower = "; BLEU-4 and ROUGE-L are lower by it" if scored else ""
            doubts.append(f"{empty[0].place}: the {name} is empty ({count}){lower}")
    return doubts


def _verdict(case: Case) -> Verdict:
    """Return the verdict on a case; UsageError for facts that are none."""
    try:
        _check_parts(case.facts)
        return verify(case.hypothesis, Facts.from_json(case.facts or {}))
    except (UsageError, AttributeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{case.place}: the facts cannot be read ({error}); give the JSON of histome tme patch"
        ) from error


def _check_parts(facts: Any) -> None:
    """Raise UsageError, which names it, for a part that need not be there but is something else."""
    given = facts if isinstance(facts, Mapping) else {}
    for name in ("units", "samples", "undefined", "models", "stated"):
        if not isinstance(given.get(name, {}), Mapping):
            raise UsageError(f"{name} is no table of names")
    for name, about in given.get("models", {}).items():
        for part, kind in (("labels", Mapping), ("limits", list), ("organs", list)):
            if not isinstance(about, Mapping) or not isinstance(about.get(part), kind):
                raise UsageError(f"models: {name} has no {part}, or they are something else")


class Ratings(NamedTuple):
    """Two raters' labels of the same items, and what their columns are called."""

    first: list[str]
    second: list[str]
    names: tuple[str, str]


class RaterAgreement(NamedTuple):
    """Cohen's kappa of two raters with its interval (over items), the share they agree on, and n.

    `undefined` says why kappa has no value (NaN); empty where it has.
    """

    kappa: Estimate
    agreement: float
    items: int
    undefined: str


def read_ratings(path: str | Path) -> Ratings:
    """Read two raters' labels from a CSV file: the last two columns, one row an item; blanks are left out.

    Raises UsageError, one line, for a file without two columns or without a row that both rated, DataError
    for labels that differ by case alone.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read; give a CSV file with a column for each rater") from error
    if len(head) < 2 or any(len(row) != len(head) for row in rows):
        raise UsageError(
            f"{path}: give a CSV file with a column for each rater and commas between, every row as long as "
            "the head"
        )
    both = [(row[-2].strip(), row[-1].strip()) for row in rows if row[-2].strip() and row[-1].strip()]
    if not both:
        raise UsageError(f"{path}: no row has a label of both raters")
    check_case(sorted({label for pair in both for label in pair}), "labels", path)
    return Ratings([a for a, _ in both], [b for _, b in both], (head[-2].strip(), head[-1].strip()))


def rating_doubts(ratings: Ratings) -> list[str]:
    """One line where the raters have no label in common: one column may hold something else."""
    if {*ratings.first} & {*ratings.second}:
        return []
    first, second = ratings.names
    return [f"{first!r} and {second!r} have no label in common: are the last two columns the raters?"]


def rater_agreement(
    first: Sequence[str], second: Sequence[str], *, rng: np.random.Generator
) -> RaterAgreement:
    """Return how far two raters agree on the same items."""
    same = float(np.mean([a == b for a, b in zip(first, second, strict=True)]))
    labels = {*first, *second}
    alone = f"both gave every item the label {first[0]!r}, as chance would" if len(labels) == 1 else ""
    return RaterAgreement(cohen_kappa(first, second, rng=rng), same, len(first), alone)
