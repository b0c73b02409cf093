"""What a narrative is: sentences, each with the numbers that it rests on, and how it came to be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple

from histome.metrics.format import Metric, format_count, format_number, show
from histome.narrative.facts import DIMENSIONS

NO_BREAK = "\N{NO-BREAK SPACE}"  # between a number and its unit
# Units of patch features as they are printed; those of metrics are printed by `metrics.quantities.show`.
_LABELS = {"px": "px", "px2": "px²", "um": "µm", "um2": "µm²", "bits": "bits", "cells": "", "1": "", "": ""}


class Source(NamedTuple):
    """What a sentence rests on.

    `name` is a metric's name, the path of a value in the facts (`raw_data.count_Dead`) or of an entry in a
    model's card; `value` is unrounded, as stored; `text` is how the sentence prints it, empty where it does
    not.
    """

    name: str
    value: float | str | None
    unit: str = ""
    text: str = ""


class Sentence(NamedTuple):
    """One sentence; `topic` groups sentences into paragraphs ("composition", "immune", "uncertain" ...)."""

    text: str
    sources: tuple[Source, ...]
    topic: str = ""


class Dropped(NamedTuple):
    """A sentence that is not shown, or a claim that made a whole text be refused, and why."""

    text: str
    reason: str


@dataclass(frozen=True)
class Narrative:
    """Sentences about one slide or patch.

    `asked` is the writer that was asked for, `writer` the one whose sentences these are. `claims` were
    checked in what `asked` wrote, `unsupported` of them trace to no fact; `dropped` says which sentences went
    and why; `note` tells in a line where the grounded text stands in for another writer's; else it is empty.
    """

    sentences: tuple[Sentence, ...]
    asked: str = "grounded"
    writer: str = "grounded"
    claims: int = 0
    unsupported: int = 0
    dropped: tuple[Dropped, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """The sentences as one paragraph."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def hallucination_rate(self) -> float | None:
        """Unsupported claims / claims of what the asked writer wrote; None where it claimed nothing."""
        return self.unsupported / self.claims if self.claims else None

    def to_json(self) -> dict[str, Any]:
        """Return the narrative as plain Python, ready for a JSON file."""
        return {
            "text": self.text,
            "asked": self.asked,
            "writer": self.writer,
            "claims": self.claims,
            "unsupported": self.unsupported,
            "hallucination_rate": self.hallucination_rate,
            "note": self.note,
            "sentences": [
                {"text": s.text, "topic": s.topic, "sources": [source._asdict() for source in s.sources]}
                for s in self.sentences
            ],
            "dropped": [dropped._asdict() for dropped in self.dropped],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Narrative":
        """Return the narrative that `to_json` gave."""
        sentences = tuple(
            Sentence(s["text"], tuple(Source(**source) for source in s["sources"]), s["topic"])
            for s in content["sentences"]
        )
        kept = {name: content[name] for name in ("asked", "writer", "claims", "unsupported", "note")}
        return cls(sentences, dropped=tuple(Dropped(**d) for d in content["dropped"]), **kept)


@dataclass(frozen=True)
class Teller:
    """Makes sentences of templates: `{NAME}` becomes the value of a fact with its unit, and its source.

    `{NAME:%}` prints a share as a percentage, `{NAME:n}` the sample size of a metric. `prefix` comes before
    the names in the sources.
    """

    values: Mapping[str, Any]
    units: Mapping[str, str]
    samples: Mapping[str, int]
    prefix: str = ""

    def get(self, name: str) -> float | None:
        """Return the value of a fact; None where it is null or not there."""
        value = self.values.get(name)
        return float(value) if isinstance(value, int | float) else None

    def has(self, *names: str) -> bool:
        """Return whether all these facts have a value."""
        return all(self.get(name) is not None for name in names)

    def tell(self, template: str, topic: str, also: Iterable[str | Source] = ()) -> Sentence:
        """Return a sentence; `also` names facts that it rests on without printing them."""
        text, sources = "", []
        for literal, name, form, _ in Formatter().parse(template):
            text += literal
            if name:
                sources.append(self._source(name, form or ""))
                text += sources[-1].text
        silent = [one if isinstance(one, Source) else self._silent(one) for one in also]
        return Sentence(text[:1].upper() + text[1:], (*sources, *silent), topic)

    def _silent(self, name: str) -> Source:
        return Source(self.prefix + name, self.get(name), self.units.get(name, ""))

    def _source(self, name: str, form: str) -> Source:
        if form == "n":
            n = self.samples[name]
            return Source(f"{self.prefix}{name}.n", n, "", format_count(n))
        value, unit = float(self.values[name]), self.units.get(name, "")
        text = f"{format_number(100 * value)}{NO_BREAK}%" if form == "%" else _printed(name, value, unit)
        return Source(self.prefix + name, value, unit, text)


def _printed(name: str, value: float, unit: str) -> str:
    """Return a number as a sentence prints it, with its unit."""
    if name[:1].islower():  # a patch feature: its unit is printed as it is, px beside um
        label = _LABELS.get(unit, unit)
        text = format_count(value) if unit == "cells" else format_number(value)
    else:
        shown = show(Metric(name, value, unit, None, None))
        counted = DIMENSIONS.get(unit, ("", 1.0))[0] == "count"
        label, text = ("", format_count(value)) if counted else (shown.unit, shown.text)
    return (
        f"{text}{NO_BREAK}{label.replace('/', 'per ', 1) if label.startswith('/') else label}"
        if label
        else text
    )
