"""What a text may say of a slide or a patch: every number with its unit, labels, tokens, and what is unsure.

Facts are read once, from the metrics of a slide or the JSON of a patch; writers, the verifier and a language
model's prompt all take `Facts`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from histome.classes import CELL_CLASSES
from histome.errors import UsageError
from histome.metrics.format import MetricValue, format_count
from histome.models.card import Card
from histome.models.label_support import card_support, support_texts
from histome.narrative.sentences import Sentence, Source
from histome.narrative.slide_labels import narrated_metrics, slide_labels
from histome.narrative.units import print_feature, print_metric, print_share
from histome.phenotype.axes import PANNUKE_CLASSES, phenotypes


@dataclass(frozen=True)
class FactsKind:
    """What facts are of, and so how their values are named, read and printed.

    Attributes
    ----------
    prefix : str
        Stands before a value's name in a source.
    printed : callable(name, value, unit)
        Gives the text.
    counts : mapping of str to str
        The value that counts the cells of each class.
    """

    name: Literal["slide", "patch"]
    prefix: str
    printed: Callable[[str, float, str], str]
    counts: Mapping[str, str]


SLIDE = FactsKind(
    "slide",
    prefix="",
    printed=print_metric,
    counts={name: f"CELL_COUNT_{name.upper()}" for name in CELL_CLASSES},
)
PATCH = FactsKind(
    "patch",
    prefix="raw_data.",
    printed=print_feature,
    counts={name: f"count_{name}" for name in PANNUKE_CLASSES},
)

_COMPATIBLE = "compatible"  # mode of a patch's JSON, and names in it
_LEFT_OUT, _ABSTAINED, _H_AND_E = "cells_left_out", "cells_abstained", "h_and_e"
_CUTS, _OWN_CUTS = "cuts", "own_cuts"


class ModelNotes(NamedTuple):
    """What a model's card says of its learning: class -> "direct, n = ..." or "indirect"; limits; organs."""

    labels: Mapping[str, str]
    limits: tuple[str, ...]
    organs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that a text on one slide or patch may rest on.

    Attributes
    ----------
    values : mapping of str to any
        Raw data by name as they were given (a prompt prints them to the letter); None for a null.
    labels : mapping of str to str or None
        The label of each axis, None where its value is null.
    tokens : tuple of str
        Phrases that the labels stand for.
    units, samples, undefined : mapping of str to str, int, str
        Unit, n and reason of a null, by the value's name.
    models : mapping of str to ModelNotes
        What the card of each model, by its name, says of its learning.
    stated : mapping of str to str
        What is stated of the specimen: `organ`, `site`, `specimen`, as far as it is.
    compatible : bool
        Whether a patch's labels are to the letter of the published ones, however few cells they rest on.
    left_out : int
        Nuclei of a patch that no number counts.
    abstained : int
        Cells of a patch whose class the model abstained from.
    h_and_e : bool
        Whether a patch may be tissue of H&E; false where quality control finds none in it.
    own_cuts : mapping of str to (float, float)
        The two limits, in the unit of their value, of each axis of a patch whose limits are the user's own.
    """

    kind: FactsKind
    values: Mapping[str, Any]
    labels: Mapping[str, str | None]
    tokens: tuple[str, ...]
    units: Mapping[str, str]
    samples: Mapping[str, int] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, ModelNotes] = field(default_factory=dict)
    stated: Mapping[str, str] = field(default_factory=dict)
    compatible: bool = False
    left_out: int = 0
    abstained: int = 0
    h_and_e: bool = True
    own_cuts: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of_slide(
        cls,
        metrics: Mapping[str, MetricValue],
        cards: Mapping[str, Card],
        stated: Mapping[str, str] = MappingProxyType({}),
    ) -> "Facts":
        """Return the facts of a slide: its metrics by name, labels from them, cards, what is stated of it."""
        rows = {name: metrics[name] for name in narrated_metrics() if name in metrics}
        values = {name: row.value for name, row in rows.items()}
        samples = {name: row.n for name, row in rows.items() if row.n is not None}
        labels = dict(slide_labels(values, samples))
        return cls(
            SLIDE,
            values,
            labels,
            tuple(label for label in labels.values() if label and label != "Intermediate"),
            {name: row.unit for name, row in rows.items()},
            samples,
            {name: row.reason or "no value" for name, row in rows.items() if row.value is None},
            {
                card.name: ModelNotes(support_texts(card_support(card)), card.limits, card.organs)
                for card in cards.values()
            },
            stated,
        )

    @classmethod
    def of_patch(cls, document: Mapping[str, Any]) -> "Facts":
        """Return the facts of a patch from the JSON that `histome tme patch` prints.

        Units that it does not state are those of the paper: px and px2. Raises UsageError, one line, where
        `raw_data`, `interpretation` or `generated_tokens` is missing or is something else.
        """
        values, labels, tokens = _checked(document)
        reasons = values.get("undefined")
        return cls(
            PATCH,
            values,
            labels,
            tokens,
            _units(values, document.get("units", {})),
            undefined=reasons if isinstance(reasons, Mapping) else {},
            compatible=document.get("mode") == _COMPATIBLE,
            left_out=int(document.get(_LEFT_OUT, 0)),
            abstained=int(document.get(_ABSTAINED, 0)),
            h_and_e=bool(document.get(_H_AND_E, True)),
            own_cuts={
                name: tuple(pair)
                for name, pair in document.get(_CUTS, {}).items()
                if name in document.get(_OWN_CUTS, ())
            },
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Facts":
        """Return the facts that `to_json` gave, or those of a patch; raises UsageError as `of_patch`."""
        values, labels, tokens = _checked(document)
        if document.get("subject") != SLIDE.name:
            return cls.of_patch(document)
        models = document.get("models", {})
        return cls(
            SLIDE,
            values,
            labels,
            tokens,
            _units(values, document.get("units", {})),
            document.get("samples", {}),
            document.get("undefined", {}),
            {
                name: ModelNotes(about["labels"], tuple(about["limits"]), tuple(about["organs"]))
                for name, about in models.items()
            },
            document.get("stated", {}),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain Python, ready for a JSON file."""
        return {
            "subject": self.kind.name,
            "raw_data": dict(self.values),
            "interpretation": dict(self.labels),
            "generated_tokens": list(self.tokens),
            "units": dict(self.units),
            "samples": dict(self.samples),
            "undefined": dict(self.undefined),
            "models": {
                name: {
                    "labels": dict(notes.labels),
                    "limits": list(notes.limits),
                    "organs": list(notes.organs),
                }
                for name, notes in self.models.items()
            },
            "stated": dict(self.stated),
            **({"mode": _COMPATIBLE} if self.compatible else {}),
            **({_LEFT_OUT: self.left_out} if self.left_out else {}),
            **({_ABSTAINED: self.abstained} if self.abstained else {}),
            **({} if self.h_and_e else {_H_AND_E: False}),
            **({_CUTS: dict(self.own_cuts), _OWN_CUTS: list(self.own_cuts)} if self.own_cuts else {}),
        }

    def get(self, name: str) -> float | None:
        """Return a value; None where it is null, no number or not there."""
        value = self.values.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return None
        return float(value)

    def has(self, *names: str) -> bool:
        """Return whether all these values are there."""
        return all(self.get(name) is not None for name in names)

    def few(self, *classes: str) -> bool:
        """Return whether one of a patch's classes has too few cells to say more of it than how many."""
        counts = [self.get(f"count_{name}") for name in classes]
        return not self.compatible and any(n is not None and n < phenotypes().fewest_cells for n in counts)

    def source(self, path: str, text: str = "") -> Source:
        """Return the source that `path` names, with its value as it was given.

        `interpretation.AXIS` names a label, `generated_tokens.TOKEN` a token, any other a value or its n.
        """
        start, _, last = path.partition(".")
        if start == "interpretation":
            return Source(path, self.labels.get(last), "", text)
        if start == "generated_tokens":
            return Source(start, last, "", text)
        name = path.removeprefix(self.kind.prefix)
        if name.endswith(".n"):
            return Source(path, self.samples.get(name.removesuffix(".n")), "", text)
        return Source(path, self.values.get(name), self.units.get(name, ""), text)

    def tell(self, template: str, topic: str, also: Iterable[str | Source] = ()) -> Sentence:
        """Return a sentence: in the template, `{NAME}` becomes a value with its unit, and a source.

        `{NAME:%}` prints a share as a percentage, `{NAME:n}` the sample size of a value; `also` are values
        that the sentence rests on without printing them.
        """
        text, sources = "", []
        for literal, name, form, _ in Formatter().parse(template):
            text += literal
            if name:
                sources.append(self._printed(name, form or ""))
                text += sources[-1].text
        silent = [one if isinstance(one, Source) else self._silent(one) for one in also]
        return Sentence(text[:1].upper() + text[1:], (*sources, *silent), topic)

    def _silent(self, name: str) -> Source:
        return Source(self.kind.prefix + name, self.get(name), self.units.get(name, ""))

    def _printed(self, name: str, form: str) -> Source:
        if form == "n":
            n = self.samples[name]
            return Source(f"{self.kind.prefix}{name}.n", n, "", format_count(n))
        value, unit = float(self.values[name]), self.units.get(name, "")
        text = print_share(value) if form == "%" else self.kind.printed(name, value, unit)
        return Source(self.kind.prefix + name, value, unit, text)


def _checked(document: Any) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Return raw data, labels and tokens, or refuse what is no such JSON (UsageError)."""
    wanted = {"raw_data": Mapping, "interpretation": Mapping, "generated_tokens": list}
    for name, kind in wanted.items():
        if not isinstance(document, Mapping) or not isinstance(document.get(name), kind):
            raise UsageError(
                f"the facts have no {name}: give the JSON that `histome tme patch` prints "
                "(raw_data, interpretation, generated_tokens)"
            )
    return (
        dict(document["raw_data"]),
        dict(document["interpretation"]),
        tuple(map(str, document["generated_tokens"])),
    )


def _units(values: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of every value: the stated one, else lengths are px and areas px2, as in the paper."""
    return {name: str(stated.get(name, _usual_unit(name))) for name in values}


def _usual_unit(name: str) -> str:
    for start, unit in (
        ("count_", "cells"),
        ("total_", "cells"),
        ("mean_area_", "px2"),
        ("mean_spatial", "bits"),
    ):
        if name.startswith(start):
            return unit
    return "px" if "_dist_" in name else "1"
