"""One function that writes a narrative, whoever holds the pen, with the verifier in front of every text."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from histome.config import NarrativeConfig
from histome.errors import ModelError
from histome.narrative.facts import SLIDE, Facts
from histome.narrative.sentences import Dropped, Narrative, Sentence
from histome.narrative.verifier import Checked, Verdict, verify
from histome.narrative.writers.cleaning import cleaned
from histome.narrative.writers.language_models import CutText, WriterError, prompt_of
from histome.narrative.writers.patch import describe_patch
from histome.narrative.writers.slide import describe_slide
from histome.narrative.writers.table import WRITERS, Ask

_MOST_FAULTS = 20  # that a model is told of
_FEWEST = 3  # true sentences that are shown: one says little of a slide, and may say it askew
_SHOWN = 300  # characters of a sentence in a note or a list
_CUT = "the text was cut here, at max_tokens"
_log = logging.getLogger(__name__)


def write(facts: Facts, config: NarrativeConfig | None = None) -> Narrative:
    """Return the narrative of a slide or a patch.

    The grounded writer (default) is deterministic and offline. A language model's text is verified first:
    sentences that are not supported are dropped (with `on_unsupported = "refuse"` one contradicted or refused
    sentence drops all), after the model was told once which failed and why. Where no text can be had or
    fewer than three sentences of it stand, the grounded text is returned and `note` says why. What the
    grounded writer holds uncertain is always added.
    """
    config = config or NarrativeConfig()
    grounded, asked = grounded_sentences(facts), WRITERS[config.writer].asked
    if asked is None:
        checked = verify_sentences([sentence.text for sentence in grounded], facts)
        return Narrative(tuple(grounded), **_counted(checked))
    try:
        with asked(config) as ask:
            verdict = _verdict(facts, ask, retry=config.retry)
    except (WriterError, ModelError) as error:
        return _fall_back(grounded, config.writer, str(error))
    return review(verdict, facts, grounded, config)


def grounded_sentences(facts: Facts) -> list[Sentence]:
    """Return the sentences of the fixed rules on a slide or a patch."""
    return describe_slide(facts) if facts.kind is SLIDE else describe_patch(facts)


def verify_sentences(sentences: Sequence[str], facts: Facts) -> Verdict:
    """Return the verdict on sentences, each for itself."""
    return Verdict(tuple(one for text in sentences for one in verify(text, facts).sentences))


def _verdict(facts: Facts, ask: Ask, *, retry: bool) -> Verdict:
    """Return the verdict on a model's text, or on its second one where that is better."""
    prompt = prompt_of(facts)
    said = ask([prompt])
    text, first = read_text(said, facts)
    if not first.sentences:
        cut = "it wrote no sentence before max_tokens was reached: raise narrative.max_tokens"
        raise WriterError(cut if isinstance(said, CutText) else "it wrote no sentence")
    if not retry or not first.unsupported:
        return first
    try:
        _, second = read_text(ask([prompt, text, _faults(first)]), facts)
    except (WriterError, ModelError) as error:
        _log.info("narrative: no second text (%s)", error)
        return first
    return max(first, second, key=lambda verdict: (verdict.tally.supported, -len(verdict.unsupported)))


def read_text(said: str, facts: Facts) -> tuple[str, Verdict]:
    """Return a model's text as plain lines, and the verdict on it.

    Each sentence comes once: a model in a loop says nothing new. Of a cut text the last one is not judged.
    """
    text = cleaned(said)
    sentences = verify(text, facts).sentences
    if sentences and isinstance(said, CutText):
        sentences = (*sentences[:-1], Checked(sentences[-1].text, "not checkable", reason=_CUT))
    return text, Verdict(tuple(dict.fromkeys(sentences)))


def _faults(verdict: Verdict) -> str:
    """Return what a model is told of the sentences that failed."""
    lines = [
        f'- "{one.text[:_SHOWN]}": {one.state} ({one.reason})' for one in verdict.unsupported[:_MOST_FAULTS]
    ]
    return (
        "These sentences failed a check against the features:\n"
        + "\n".join(lines)
        + "\nWrite the narrative again. Leave them out or correct them; state only what the features say."
    )


def review(
    verdict: Verdict, facts: Facts, grounded: Sequence[Sentence], config: NarrativeConfig
) -> Narrative:
    """Return what may stand of a language model's text, or the grounded sentences in its place."""
    false = [one for one in verdict.unsupported if one.state == "contradicted" or _is_refused(one)]
    dropped = tuple(Dropped(one.text[:_SHOWN], f"{one.state}: {one.reason}") for one in verdict.unsupported)
    kept = [_sourced(one, facts) for one in verdict.sentences if one.state == "supported"]
    counts = {**_counted(verdict), "dropped": dropped}
    if false and config.on_unsupported == "refuse":
        return _fall_back(grounded, config.writer, f"it claimed {_quoted(false)}", **counts)
    if len(kept) < _FEWEST:
        held = f"{len(kept)} of {len(verdict.sentences)} sentences of it held, {_FEWEST} are asked for"
        return _fall_back(grounded, config.writer, held, **counts)
    doubts = [sentence for sentence in grounded if sentence.topic == "uncertain"]
    return Narrative(
        (*kept, *doubts),
        asked=config.writer,
        writer=config.writer,
        note="What is uncertain was added by the grounded writer." if doubts else "",
        **counts,
    )


def _is_refused(sentence: Checked) -> bool:
    return any(claim.kind == "refused" for claim in sentence.claims)


class _Counts(NamedTuple):
    claims: int
    unsupported: int
    supported: int
    contradicted: int
    not_checkable: int


def _counted(verdict: Verdict) -> dict[str, Any]:
    """Return the counts that a narrative keeps; a sentence that cannot be read is one claim."""
    sizes = [max(1, len(one.claims)) for one in verdict.sentences]
    bad = [max(1, sum(c.state != "supported" for c in one.claims)) for one in verdict.unsupported]
    return _Counts(sum(sizes), sum(bad), *verdict.tally)._asdict()


def _fall_back(grounded: Sequence[Sentence], asked: str, reason: str, **counts: Any) -> Narrative:
    note = f"The text of the writer {asked!r} is not shown: {reason}. This is the grounded text."
    _log.warning("narrative: %s", note)
    return Narrative(tuple(grounded), asked=asked, note=note, **counts)


def _quoted(sentences: Sequence[Checked]) -> str:
    """Return the first sentences that failed, in words."""
    shown = [f"{one.text[:_SHOWN]!r} ({one.reason})" for one in sentences[:3]]
    more = len(sentences) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _sourced(sentence: Checked, facts: Facts) -> Sentence:
    """Return a verified sentence with what its claims trace to."""
    paths = dict.fromkeys((path, claim.text) for claim in sentence.claims for path in claim.sources)
    return Sentence(
        sentence.text, tuple(facts.source(path, _printed(text, sentence.text)) for path, text in paths)
    )


def _printed(text: str, sentence: str) -> str:
    return text if text in sentence and any(letter.isdigit() for letter in text) else ""
