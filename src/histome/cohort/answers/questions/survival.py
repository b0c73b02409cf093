"""Does a number go with survival? Kaplan-Meier, log-rank, and Cox models with a penalty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.cohort.answers.page.answer import Answer, counted, ends_words, listed, p_words
from histome.cohort.answers.page.figures import Steps, forest, steps
from histome.cohort.answers.questions.choose import in_words, normal_scores
from histome.cohort.answers.questions.power import smallest_hazard_ratio
from histome.cohort.answers.questions.risk import joint_rows, lifelines_quiet
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError
from histome.exports.extra import needed
from histome.metrics.uncertainty import benjamini_hochberg

# Below, no model is fitted: an interval of the hazard ratio would span a factor of ten.
FEWEST_EVENTS = 10
EVENTS_PER_NUMBER = 10
_DISCOVERY = 0.05
_SHOWN = 24
_MEDIAN = ("median", "median_low", "median_high")
_YES, _NO = ("1", "yes", "true", "dead", "event"), ("0", "no", "false", "alive", "censored")


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Patients with a time: until the event, or as long as they were seen without it."""

    rows: CohortNumbers
    time: Floats
    event: NDArray[np.bool_]

    @classmethod
    def of(cls, measured: CohortNumbers, time: str, event: str) -> "FollowUp":
        """Read two columns of the manifest; DataError for times that are not above 0 and too few events."""
        times = measured.numbers(time)
        texts = np.char.lower(measured.column(event))
        odd = sorted(set(texts.tolist()) - {*_YES, *_NO, ""})
        if odd:
            raise DataError(
                f"column {event!r} holds {odd[0]!r}; write 1 for an event, 0 where there was none"
            )
        known = np.isfinite(times) & (texts != "")
        if (times[known] <= 0).any():
            raise DataError(f"column {time!r} holds times that are not above 0")
        happened = np.isin(texts[known], _YES)
        if happened.sum() < FEWEST_EVENTS:
            raise DataError(
                f"{happened.sum()} events among {known.sum()} {measured.each}s: {FEWEST_EVENTS} are the "
                "fewest "
                "that a survival analysis is made of"
            )
        return cls(measured.rows(known), times[known], happened)

    def kept(self, keep: NDArray[np.bool_]) -> "FollowUp":
        """Return some of the patients."""
        return FollowUp(self.rows.rows(keep), self.time[keep], self.event[keep])


def follow_up(
    measured: CohortNumbers,
    time: str,
    event: str,
    *,
    by: str = "",
    covariates: Sequence[str] = (),
    seed: int = 0,
) -> list[Answer]:
    """Return how survival goes: curves (of the groups of `by`), each metric alone, all of them together.

    Metrics enter as normal scores, as they are: none is cut in two, so no cut-off is chosen on these data.
    `covariates`, numeric columns of the manifest, stand in every model.

    Raises DataError where columns are not numbers, patients are fewer than `FEWEST_EVENTS` events.
    """
    needed("lifelines", "cohort")
    patients = FollowUp.of(measured, time, event)
    covered = {name: patients.rows.numbers(name) for name in covariates}
    for name, numbers in covered.items():
        if np.isnan(numbers).any():
            raise DataError(f"column {name!r} is empty for some {measured.each}s; fill it in or leave it out")
    with lifelines_quiet():
        return [_curves(patients, time, by), _each(patients, covered), _together(patients, covered, seed)]


def _curves(patients: FollowUp, time: str, by: str) -> Answer:
    lifelines: Any = needed("lifelines", "cohort")
    groups = patients.rows.column(by) if by else np.array(["all"] * len(patients.rows))
    names = sorted(set(groups) - {""})
    fits = {}
    for name in names:
        mine = groups == name
        fits[str(name)] = lifelines.KaplanMeierFitter().fit(patients.time[mine], patients.event[mine])
    rows = [_curve_row(name, fit, patients, groups == name) for name, fit in fits.items()]
    return Answer(
        "survival",
        "How long without the event?",
        _curves_said(patients, groups, names, by),
        {"survival": rows},
        [_median_words(row, time) for row in rows],
        steps({name: _drawn(fit) for name, fit in fits.items()}, time),
        "Kaplan-Meier curves with 95 % intervals (log-log); below them how many were still at risk.",
        (
            "Kaplan-Meier; the median is the time at which half are expected to have had the event, empty "
            "where "
            "the curve does not fall so far. Groups are compared by the log-rank test, which sees hazards "
            "that "
            "differ by a constant factor best. Groups come from the manifest, never from a cut-off chosen "
            "here.",
        ),
    )


def _curve_row(name: str, fit: Any, patients: FollowUp, mine: NDArray[np.bool_]) -> dict[str, Any]:
    utils: Any = needed("lifelines.utils", "cohort")
    median = float(fit.median_survival_time_)
    ends = utils.median_survival_times(fit.confidence_interval_).to_numpy().ravel()
    low, high = (float(end) if np.isfinite(end) else float("nan") for end in ends)
    return {
        "group": name,
        patients.rows.each + "s": int(mine.sum()),
        "events": int(patients.event[mine].sum()),
        "median": median if np.isfinite(median) else float("nan"),
        "median_low": low,
        "median_high": high,
    }


def _median_words(row: dict[str, Any], time: str) -> dict[str, Any]:
    """Return a row of the page: the median with its interval."""
    median, low, high = (f"{row[key]:.3g}" if np.isfinite(row[key]) else "not reached" for key in _MEDIAN)
    about = {key: each for key, each in row.items() if key not in _MEDIAN}
    return about | {f"{time}, median": f"{median} ({low} to {high})"}


def _drawn(fit: Any) -> Steps:
    ends = fit.confidence_interval_.to_numpy()
    alive = fit.survival_function_
    seen = np.asarray(fit.durations)
    return Steps(alive.index.to_numpy(), alive.to_numpy().ravel(), ends[:, 0], ends[:, 1], seen)


def _curves_said(
    patients: FollowUp, groups: NDArray[np.str_], names: Sequence[str], by: str
) -> tuple[str, ...]:
    events = int(patients.event.sum())
    told = f"{events} events among {counted(len(patients.rows), patients.rows.each)}."
    if len(names) < 2:
        return (told,)
    statistics: Any = needed("lifelines.statistics", "cohort")
    grouped = groups != ""
    test = statistics.multivariate_logrank_test(
        patients.time[grouped], groups[grouped], patients.event[grouped]
    )
    found = "differ" if test.p_value <= _DISCOVERY else "were not shown to differ"
    return (f"The groups of {by} {found} (log-rank p {p_words(test.p_value)}). {told}",)


def _each(patients: FollowUp, covered: dict[str, Floats]) -> Answer:
    """Return the Cox model of each metric alone, with the covariates."""
    scores = normal_scores(patients.rows.value)
    rows = [_alone(patients, scores[:, k], name, covered) for k, name in enumerate(patients.rows.names)]
    rows = [row for row in rows if row is not None]
    if not rows:
        raise DataError("no metric has values of enough patients with events")
    q = benjamini_hochberg(np.array([row["p"] for row in rows]))
    table = [{**row, "q": float(each)} for row, each in zip(rows, q, strict=True)]
    if patients.rows.harmonized:
        table = [{**row, "harmonized": patients.rows.harmonized} for row in table]
    table.sort(key=lambda row: (row["p"], row["metric"]))
    shown = table[:_SHOWN]
    ratios = [row["hazard_ratio"] for row in shown]
    ends = [(row["low"], row["high"]) for row in shown]
    marked = [row["q"] <= _DISCOVERY for row in shown]
    axis = (1.0, "hazard ratio of one SD more")
    called = in_words([row["metric"] for row in shown])
    return Answer(
        "survival_metrics",
        "Which numbers go with survival?",
        _each_said(table, int(patients.event.sum())),
        {"survival_metrics": table},
        [_brief(row) for row in table],
        forest(called, ratios, ends, marked=marked, about=axis, log=True),
        f"Hazard ratio for one SD more, with 95 % intervals; blue: q at most {_DISCOVERY:g}. Above 1: the "
        "event "
        "comes sooner.",
        (
            "A Cox model of each metric alone"
            + (f" with {', '.join(covered)}" if covered else "")
            + ", as normal scores of its ranks: a ratio is that of one SD more; a tiny ridge penalty keeps "
            "it finite. q: Benjamini-Hochberg over the metrics.",
            "ph_p tests whether the ratio stays the same over time (Schoenfeld residuals against ranked "
            "time); "
            "where it is small, one ratio is an average over the follow-up.",
        ),
    )


def _alone(patients: FollowUp, score: Floats, name: str, covered: dict[str, Floats]) -> dict[str, Any] | None:
    lifelines: Any = needed("lifelines", "cohort")
    statistics: Any = needed("lifelines.statistics", "cohort")
    pandas: Any = needed("pandas", "cohort")
    known = np.isfinite(score)
    events = int(patients.event[known].sum())
    if events < FEWEST_EVENTS:
        return None
    columns = {"metric": score, **{f"with {key}": each for key, each in covered.items()}}
    frame = pandas.DataFrame({key: each[known] for key, each in columns.items()})
    frame["time"], frame["event"] = patients.time[known], patients.event[known].astype(int)
    fit = lifelines.CoxPHFitter(penalizer=1e-4).fit(frame, "time", "event")
    found = fit.summary.loc["metric"]
    held = statistics.proportional_hazard_test(fit, frame, time_transform="rank").summary.loc["metric"]
    return {
        "metric": name,
        "n": int(known.sum()),
        "events": events,
        "hazard_ratio": float(found["exp(coef)"]),
        "low": float(found["exp(coef) lower 95%"]),
        "high": float(found["exp(coef) upper 95%"]),
        "p": float(found["p"]),
        "ph_p": float(held["p"]),
    }


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    ratio = ends_words(row["hazard_ratio"], row["low"], row["high"])
    called = {"metric": in_words([row["metric"]])[0], "events": row["events"], "hazard ratio per SD": ratio}
    return called | {"p": row["p"], "q": row["q"], "p of constant hazards": row["ph_p"]}


def _each_said(table: Sequence[dict[str, Any]], events: int) -> tuple[str, ...]:
    found = [row for row in table if row["q"] <= _DISCOVERY]
    one, every = (smallest_hazard_ratio(events, tests) for tests in (1, len(table)))
    at_once = f", of all {len(table)} at once {every:.2f} (or {1 / every:.2f})" if len(table) > 1 else ""
    power = (
        f"What {events} events could have shown, four times in five: of a single number a hazard ratio of "
        f"{one:.2f} per SD (or {1 / one:.2f}){at_once}."
    )
    if not found:
        return (f"None of {counted(len(table), 'metric')} was shown to go with survival.", power)
    row = found[0]
    sooner = "sooner" if row["hazard_ratio"] > 1 else "later"
    called = in_words([row["metric"]])[0]
    said = (
        f"{len(found)} of {counted(len(table), 'metric')} {'goes' if len(found) == 1 else 'go'} with "
        f"survival (q at most {_DISCOVERY:g}). Clearest: the "
        f"higher {called[:1].lower()}{called[1:]}, the {sooner} the event: hazard ratio "
        f"{row['hazard_ratio']:.2f} per SD (95 %: "
        f"{row['low']:.2f} to {row['high']:.2f}), q {p_words(row['q'])}."
    )
    uneven = in_words([row["metric"] for row in found if row["ph_p"] < 0.05])
    if not uneven:
        return (said, power)
    return (said, f"Not the same over time (read the ratio as an average): {listed(uneven)}.", power)


def _together(patients: FollowUp, covered: dict[str, Floats], seed: int) -> Answer:
    """Return the penalized model of all metrics at once, or why there is none."""
    events = int(patients.event.sum())
    most = events // EVENTS_PER_NUMBER - len(covered)
    title, name = "All numbers together", "survival_joint"
    if len(patients.rows.names) > most or most < 1:
        asked = len(patients.rows.names) + len(covered)
        return Answer(
            name,
            title,
            (
                f"Not fitted: {events} events carry a model of at most "
                f"{max(events // EVENTS_PER_NUMBER, 0)} numbers "
                f"({EVENTS_PER_NUMBER} events each), and {asked} were asked for. Name the few that you "
                "decided on "
                "beforehand with --metric.",
            ),
        )
    scores = np.nan_to_num(normal_scores(patients.rows.value))
    columns = dict(zip(patients.rows.names, scores.T, strict=True)) | covered
    rows, concordance = joint_rows(columns, patients.time, patients.event, np.random.default_rng(seed))
    if patients.rows.harmonized:
        rows = [{**row, "harmonized": patients.rows.harmonized} for row in rows]
    fine = (
        "order patients better than chance" if concordance.low > 0.5 else "were not shown to order patients"
    )
    return Answer(
        name,
        title,
        (
            f"Together the numbers {fine}: of two patients the one at higher predicted risk had the event "
            "first "
            f"in {100 * concordance.value:.0f} of 100 pairs (95 %: {100 * concordance.low:.0f} to "
            f"{100 * concordance.high:.0f}; 50 is chance), each predicted by a model that had not seen them.",
        ),
        {name: rows},
        [_joint_words(row, covered) for row in rows],
        _joint_figure(rows, covered),
        "Hazard ratio of each number with the others held still, drawn towards 1 by the penalty, with 95 % "
        "intervals that are too narrow: of one SD more of a metric"
        + (f", of one more of {listed(list(covered))}." if covered else "."),
        (
            "A Cox model of all numbers (normal scores, nulls as the middle), ridge penalty 0.1; "
            "concordance in 5 "
            "folds of patients that the model had not seen, its interval by bootstrap of patients. "
            "Coefficients "
            "of a penalized model are drawn towards no effect: its intervals are too narrow to read as "
            "tests, "
            "read those of each metric alone.",
        ),
    )


def _joint_called(row: dict[str, Any], covered: Mapping[str, Floats]) -> str:
    return row["number"] if row["number"] in covered else in_words([row["number"]])[0]


def _joint_words(row: dict[str, Any], covered: Mapping[str, Floats]) -> dict[str, Any]:
    """Return a row of the page: a metric's ratio is of one SD, a covariate's of one unit."""
    ratio = ends_words(row["hazard_ratio"], row["low"], row["high"])
    of = "one more" if row["number"] in covered else "one SD more"
    return {"number": _joint_called(row, covered), "of": of, "hazard ratio": ratio}


def _joint_figure(rows: Sequence[dict[str, Any]], covered: Mapping[str, Floats]) -> str:
    ends = [(row["low"], row["high"]) for row in rows]
    ratios, called = [row["hazard_ratio"] for row in rows], [_joint_called(row, covered) for row in rows]
    marked = [False] * len(rows)  # no tests
    return forest(called, ratios, ends, marked=marked, about=(1.0, "hazard ratio, penalized"), log=True)
