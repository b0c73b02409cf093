"""Do groups differ? Rank tests of each metric, effects with intervals, discoveries over all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kruskal, mannwhitneyu

from histome.cohort.answers.page.answer import Answer, counted, ends_words, listed, p_words, value_words
from histome.cohort.answers.page.figures import forest
from histome.cohort.answers.questions.choose import FEWEST, groups_of, in_words
from histome.cohort.answers.questions.effects import Effect, explained, shift, superiority
from histome.cohort.answers.questions.power import power_note
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.cohort.answers.tables.writing import describe
from histome.metrics.uncertainty import benjamini_hochberg

DISCOVERY = 0.05
_SHOWN = 24


def compare_groups(measured: CohortNumbers, by: str, *, seed: int = 0) -> Answer:
    """Return how the groups of a column of the manifest differ, in each metric of `measured`.

    Two groups: Mann-Whitney, the probability of superiority and the Hodges-Lehmann shift; more: Kruskal and
    epsilon squared. q is that of Benjamini and Hochberg over all tests; of a family of metrics, over the
    families' Simes p. A row is one patient (or one slide) and counts as independent of all others.

    Raises DataError where there are fewer than two groups of `FEWEST`.
    """
    rows, groups = groups_of(measured, by)
    names = np.unique(groups).tolist()
    rng = np.random.default_rng(seed)
    made = [_compared(rows, k, groups, names, rng) for k in range(len(rows.names))]
    kept = [row for row in made if row is not None]
    q = benjamini_hochberg(np.array([row["p"] for row in kept]))
    table = [{**row, "q": float(each)} for row, each in zip(kept, q, strict=True)]
    table = [_told(row, rows) for row in sorted(table, key=lambda row: (row["p"], row["metric"]))]
    families = family_rows(table)
    return Answer(
        f"compare_{_safe(by)}",
        f"Do the groups of {by} differ?",
        (*_said(table, families, names), _power(groups, names, len(table))),
        {f"compare_{_safe(by)}": table, f"compare_{_safe(by)}_families": families},
        [_brief(row, names) for row in table],
        _figure(table, names),
        _caption(names),
        _made(rows, by, names),
    )


def _safe(by: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in by.lower())


def _compared(
    rows: CohortNumbers, k: int, groups: NDArray[np.str_], names: Sequence[str], rng: np.random.Generator
) -> dict[str, Any] | None:
    """Return the tests of one metric; None where a group has too few values."""
    values = rows.value[:, k]
    samples = [values[(groups == name) & np.isfinite(values)] for name in names]
    if min(map(len, samples)) < FEWEST or np.ptp(np.concatenate(samples)) == 0:
        return None
    row: dict[str, Any] = {"metric": rows.names[k], "unit": rows.units[k]}
    for name, sample in zip(names, samples, strict=True):
        row |= {f"n {name}": len(sample), f"median {name}": float(np.median(sample))}
    return row | (_two(*samples) if len(samples) == 2 else _several(samples, rng))


def _two(first: Floats, second: Floats) -> dict[str, Any]:
    test = mannwhitneyu(second, first, alternative="two-sided")
    return {
        **_ends("superiority", superiority(first, second)),
        **_ends("shift", shift(first, second)),
        "test": "Mann-Whitney",
        "p": float(test.pvalue),
    }


def _several(samples: list[Floats], rng: np.random.Generator) -> dict[str, Any]:
    size = explained(samples, rng)
    return {**_ends("epsilon_squared", size), "test": "Kruskal-Wallis", "p": float(kruskal(*samples).pvalue)}


def _ends(name: str, effect: Effect) -> dict[str, float]:
    return {name: effect.value, f"{name}_low": effect.low, f"{name}_high": effect.high}


def _told(row: dict[str, Any], rows: CohortNumbers) -> dict[str, Any]:
    """Add what else the table says of a metric: its family, how it was pooled and harmonized."""
    more: dict[str, Any] = {"family": describe(row["metric"])[0]}
    if rows.how:
        more["pooled"] = rows.how[rows.names.index(row["metric"])]
    if rows.harmonized:
        more["harmonized"] = rows.harmonized
    return {**row, **more}


def family_rows(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the families: the Simes p of each (any of its metrics differs) and its q over the families.

    Simes 1986 (doi:10.1093/biomet/73.3.751): the least of p m / rank over the family's m tests.
    """
    members: dict[str, list[float]] = {}
    for row in table:
        members.setdefault(row["family"], []).append(row["p"])
    simes = {
        name: float(np.min(np.sort(p) * len(p) / np.arange(1, len(p) + 1))) for name, p in members.items()
    }
    q = benjamini_hochberg(np.array(list(simes.values())))
    rows = [
        {
            "family": name,
            "metrics": len(members[name]),
            "found": sum(row["q"] <= DISCOVERY for row in table if row["family"] == name),
            "p": p,
            "q": float(each),
        }
        for (name, p), each in zip(simes.items(), q, strict=True)
    ]
    return sorted(rows, key=lambda row: row["p"])


def _said(
    table: Sequence[dict[str, Any]], families: Sequence[dict[str, Any]], names: Sequence[str]
) -> tuple[str, ...]:
    found = [row for row in table if row["q"] <= DISCOVERY]
    if not found:
        least = f"; the smallest q is {table[0]['q']:.2f}" if table else ""
        return (f"No difference was found in {counted(len(table), 'metric')}{least}.",)
    said = [
        f"{len(found)} of {counted(len(table), 'metric')} {'differs' if len(found) == 1 else 'differ'} (q at "
        f"most {DISCOVERY:g}: of such findings one in twenty is expected to be false). Clearest: "
        f"{_sentence(found[0], names)}"
    ]
    if len(found) > 1:
        said.append("Next: " + " ".join(_sentence(row, names) for row in found[1:4]))
    called = [row["family"] for row in families if row["q"] <= DISCOVERY]
    return (*said, f"Families of metrics in which something differs: {listed(called)}.")


def _sentence(row: dict[str, Any], names: Sequence[str]) -> str:
    called = in_words([row["metric"]])[0]
    medians = " and ".join(f"{_median(row, name)} in {name}" for name in names)
    if "superiority" not in row:
        return f"{called}: medians {medians}, q {p_words(row['q'])}."
    higher = names[1] if row["superiority"] >= 0.5 else names[0]
    ends = [row[f"superiority{end}"] for end in ("", "_low", "_high")]
    if higher == names[0]:
        ends = [1 - ends[0], 1 - ends[2], 1 - ends[1]]
    chance = f"{100 * ends[0]:.0f} of 100 pairs (95 %: {100 * ends[1]:.0f} to {100 * ends[2]:.0f})"
    return f"{called}: medians {medians}; {higher} lies higher in {chance}, q {p_words(row['q'])}."


def _median(row: dict[str, Any], name: str) -> str:
    return value_words(row["metric"], row[f"median {name}"], row["unit"])


def _brief(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of a row."""
    size = "superiority" if "superiority" in row else "epsilon_squared"
    effect = ends_words(*(row[f"{size}{end}"] for end in ("", "_low", "_high")))
    medians = {f"median in {name}": _median(row, name) for name in names}
    return {"metric": in_words([row["metric"]])[0], **medians, size: effect, "p": row["p"], "q": row["q"]}


def _figure(table: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    rows = table[:_SHOWN]
    if not rows:
        return ""
    size, none = ("superiority", 0.5) if len(names) == 2 else ("epsilon_squared", 0.0)
    axis = f"probability that one of {names[1]} lies above one of {names[0]}" if none else "epsilon squared"
    ends = [(row[f"{size}_low"], row[f"{size}_high"]) for row in rows]
    marked = [row["q"] <= DISCOVERY for row in rows]
    called = in_words([row["metric"] for row in rows])
    return forest(called, [row[size] for row in rows], ends, marked=marked, about=(none, axis))


def _caption(names: Sequence[str]) -> str:
    if len(names) == 2:
        return (
            f"The {_SHOWN} metrics with the smallest p, with 95 % intervals; blue: q at most {DISCOVERY:g}. "
            "At 0.5 "
            f"the groups are alike, at 1 every one of {names[1]} lies above every one of {names[0]}."
        )
    return (
        f"The {_SHOWN} metrics with the smallest p: the share of the variance of ranks that lies between "
        "groups, with "
        f"95 % intervals; blue: q at most {DISCOVERY:g}."
    )


def _power(groups: NDArray[np.str_], names: Sequence[str], tests: int) -> str:
    sizes = sorted(int((groups == name).sum()) for name in names)
    return power_note((sizes[0], sizes[1] if len(sizes) == 2 else sizes[-1]), max(1, tests))


def _made(rows: CohortNumbers, by: str, names: Sequence[str]) -> tuple[str, ...]:
    counts = ", ".join(f"{name}: {(rows.column(by) == name).sum()}" for name in names)
    tests = (
        "Mann-Whitney tests, two-sided; superiority with DeLong's interval; the shift is the median of all "
        "differences, in the metric's unit (Hodges-Lehmann)."
        if len(names) == 2
        else "Kruskal-Wallis tests; epsilon squared with a bootstrap interval."
    )
    return (
        f"One row a {rows.each}, {counts}. {tests}",
        "q: Benjamini-Hochberg over all tests of the table; of families, over the Simes p of each. Each "
        "group needs "
        f"{FEWEST} values of a metric, else it is not tested.",
        "An association is not a cause: groups that were not drawn by lot differ in more than what names "
        "them "
        "(see the batch section for scanners and centers).",
        *([f"Numbers were changed before the tests: {rows.harmonized}."] if rows.harmonized else []),
    )
