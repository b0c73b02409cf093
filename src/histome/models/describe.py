"""A model card in words and tables: what `histome models show` prints."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from histome.models.card import Card
from histome.models.label_support import card_support, support_texts
from histome.models.tasks import TASKS, expected_outputs

_WIDTH = 100
_ACRONYMS = {name: name.upper() for name in ("pq", "aji", "f1", "iou", "auc", "ece")} | {"f-c": "F_c"}
# Scalars that say how much stands behind a table of scores.
_SIZES = ("fields", "sources", "nuclei", "tiles", "pixels", "slides", "patients")


class ScoreRow(NamedTuple):
    """One figure of a card: where it stands, its name, value, 95 % interval, n and what n counts."""

    place: tuple[str, ...]
    figure: str
    value: float
    low: float
    high: float
    n: str

    def interval(self, number: Callable[[float], str]) -> str:
        """Return the interval in words; one unit alone is drawn again and again and has none."""
        return "none: one alone" if self.n == "1" else f"{number(self.low)} to {number(self.high)}"


def score_rows(scores: Mapping[str, Any], place: tuple[str, ...] = ()) -> Iterator[ScoreRow]:
    """Yield every figure of a card that has an interval, in order: value, low, high, units."""
    for name, entry in scores.items():
        if not isinstance(entry, Mapping):
            continue
        if {"value", "low", "high"} <= entry.keys():
            value, low, high = (float(entry[key]) for key in ("value", "low", "high"))
            yield ScoreRow(place, name, value, low, high, str(entry.get("units", "")))
        else:
            yield from score_rows(entry, (*place, name))


def describe_card(card: Card) -> str:
    """Return the card as text: what it is, what it never saw, how good it was, what it learned from."""
    parts = [_head(card), _support(card), _limits(card), _scores(card), _data(card), _sources(card)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _head(card: Card) -> list[str]:
    thresholds = ", ".join(f"{name} {value:g}" for name, value in _thresholds(card).items())
    task = TASKS[card.task]
    rows = {
        "task": f"{card.task}, {card.mpp:g} um/px, windows of {card.window_px} px, halo {card.halo_px} px",
        "finds": f"{task.finds}: {task.decoder}",
        "outputs": ", ".join(f"{name} {shape}" for name, shape in expected_outputs(card).items()),
        "classes": ", ".join(card.classes),
        "organs": ", ".join(card.organs),
        "license": card.license,
        "thresholds": thresholds,
        "temperature": f"{card.temperature:g}",
        "sha256": card.sha256,
    }
    lines = [f"{card.name} (version {card.version}): {card.description}"]
    return lines + [line for name, text in rows.items() if text for line in _wrapped(text, f"  {name:<13}")]


def _thresholds(card: Card) -> dict[str, float]:
    """Those that the task uses."""
    return {name: getattr(card.thresholds, name) for name in TASKS[card.task].thresholds}


def _data(card: Card) -> list[str]:
    if not card.training_data:
        return []
    rows = [(data.name, data.license, data.note) for data in card.training_data]
    return ["Learned from", *_table(("data", "license", "note"), rows)]


def _support(card: Card) -> list[str]:
    rows = list(support_texts(card_support(card)).items())
    if not rows:
        return []
    return [
        "Labels of each class in training (indirect: only as a member of wider groups)",
        *_table((), rows),
    ]


def _limits(card: Card) -> list[str]:
    lines = [line for limit in card.limits for line in _wrapped(limit, "  - ")]
    return ["Limits", *lines] if lines else []


def _sources(card: Card) -> list[str]:
    """Who was kept out of training, data set by data set."""
    given = {name: table for name, table in card.training.items() if name.endswith("_sources")}
    lines = []
    for part, value in given.items():
        lines.append(f"  {plain_name(part.removesuffix('_sources'))}:")
        table = value if isinstance(value, Mapping) else {"": value}
        for name, names in table.items():
            members = [str(member) for member in names] if isinstance(names, list | tuple) else [str(names)]
            count = f"{len(members)}: " if len(members) > 1 else ""
            lines += _wrapped(count + ", ".join(members), f"    {name:<20}" if name else "    ")
    return ["Split by source (slide or patient)", *lines] if lines else []


def _scores(card: Card) -> list[str]:
    rows = list(score_rows(card.scores))
    if not rows:
        return []
    lines = ["Scores, with 95 % intervals"]
    for key, note in card.scores.items():
        if isinstance(note, str):
            lines += _wrapped(note, f"  {key}: ")
    table, place = [], None
    for row in rows:
        if row.place != place:
            table.append(
                (", ".join(map(plain_name, row.place)), *(("",) * 3), _sizes(card.scores, row.place))
            )
            place = row.place
        table.append(
            (
                f"  {plain_name(row.figure)}",
                f"{row.value:.3f}",
                row.interval(lambda end: f"{end:.3f}"),
                row.n,
                "",
            )
        )
    return lines + _table(("data and figure", "value", "interval", "n", "of"), table)


def _sizes(scores: Mapping[str, Any], place: tuple[str, ...]) -> str:
    table: Any = scores
    for name in place:
        table = table[name]
    found = [f"{table[name]:,} {name}" for name in _SIZES if isinstance(table.get(name), int)]
    return ", ".join(found)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    everything = [heads, *rows] if heads else rows
    widths = [max(len(row[k]) for row in everything) for k in range(len(everything[0]))]
    lines = [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in everything
    ]
    return [line.rstrip() for line in lines]


def _wrapped(text: str, head: str) -> list[str]:
    indent = " " * len(head)
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)


def plain_name(name: str) -> str:
    """Return a name in a card as people write it: `f_c_epithelial` is `F_c epithelial`, `pq` is `PQ`."""
    words = name.replace("f_c", "f-c").split("_")
    return " ".join(_ACRONYMS.get(word, word) for word in words)
