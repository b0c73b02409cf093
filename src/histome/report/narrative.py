"""The narrative on the page: paragraphs whose sentences carry marks, and below what each of them rests on."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from histome.metrics.format import MetricValue, format_count, format_metric
from histome.narrative.sentences import Narrative, Sentence, Source
from histome.narrative.units import NO_BREAK
from histome.narrative.writers.table import WRITERS

_TOPICS = {
    "measured": "Measured",
    "composition": "Composition",
    "immune": "Immune infiltrate",
    "stroma": "Stroma",
    "architecture": "Architecture",
    "morphology": "Nuclei",
    "uncertain": "What is uncertain",
    "": "Narrative",
}


class TextPiece(NamedTuple):
    """A piece of a sentence: plain text, or a number with its source."""

    text: str
    source: str = ""
    raw: float | str | None = None


def narrative_page(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what the template takes of a narrative as its stage kept it; None where there is none."""
    if not content or not content["sentences"]:
        return None
    narrative = Narrative.from_json(content)
    numbered = list(enumerate(narrative.sentences, start=1))
    return {
        "paragraphs": [
            {
                "title": _TOPICS.get(topic, topic.capitalize()),
                "sentences": [_sentence(k, s) for k, s in group],
            }
            for topic, group in groupby(numbered, key=lambda item: item[1].topic)
        ],
        "writer": WRITERS[narrative.writer].description,
        "asked": narrative.asked,
        "note": narrative.note,
        "checked": narrative.supported + narrative.contradicted + narrative.not_checkable,
        "supported": narrative.supported,
        "contradicted": narrative.contradicted,
        "not_checkable": narrative.not_checkable,
        "rate": None
        if narrative.hallucination_rate is None
        else f"{100 * narrative.hallucination_rate:.3g} %",
        "dropped": narrative.dropped,
    }


def _sentence(number: int, sentence: Sentence) -> dict[str, Any]:
    rests = [_rest(source) for source in dict.fromkeys(sentence.sources)]
    return {"number": number, "parts": list(_pieces(sentence)), "rests": rests}


def _pieces(sentence: Sentence) -> Iterator[TextPiece]:
    """Yield the sentence cut at the numbers that its sources print, in their order."""
    rest = sentence.text
    for source in sentence.sources:
        number = source.text.split(NO_BREAK)[0]
        before, found, after = rest.partition(number) if number else (rest, "", "")
        if found and not source.name.endswith(".n"):
            yield TextPiece(before)
            yield TextPiece(number, source.name, source.value)
            rest = after
    yield TextPiece(rest)


def _rest(source: Source) -> dict[str, str]:
    """Return name and value of a source as its list shows them."""
    if isinstance(source.value, str):
        return {"name": source.name, "text": source.value, "unit": ""}
    if source.value is None:
        return {"name": source.name, "text": "n/a", "unit": ""}
    if source.name.endswith(".n"):
        return {"name": source.name, "text": format_count(source.value), "unit": ""}
    shown = format_metric(MetricValue(source.name, source.value, source.unit, None, None))
    return {"name": source.name, "text": shown.text, "unit": shown.unit}
