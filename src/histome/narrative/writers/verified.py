"""One function that writes a narrative, whoever holds the pen, with the verifier in front of every text."""

import logging
from collections.abc import Sequence

from histome.config import NarrativeConfig
from histome.narrative.facts import SLIDE, Facts
from histome.narrative.sentences import Dropped, Narrative, Sentence
from histome.narrative.verifier import Checked, Claim, verify
from histome.narrative.writers.language_models import WriterError, prompt_of
from histome.narrative.writers.patch import describe_patch
from histome.narrative.writers.slide import describe_slide
from histome.narrative.writers.table import WRITERS

_NOTHING = "nothing in it can be checked"
_log = logging.getLogger(__name__)


def write(facts: Facts, config: NarrativeConfig | None = None) -> Narrative:
    """Return the narrative of a slide or a patch.

    The grounded writer (default) is deterministic and offline. A language model's text is verified first:
    where it says nothing, cannot be had or claims what traces to no fact, the grounded text is returned and
    `note` says why (`on_unsupported = "drop"` only drops the sentences concerned). What the grounded writer
    holds uncertain is always added.

    Raises UsageError for incomplete settings, ModelError for a folder without a language model.
    """
    config = config or NarrativeConfig()
    grounded, ask = grounded_sentences(facts), WRITERS[config.writer].ask
    if ask is None:
        checked = verify(" ".join(sentence.text for sentence in grounded), facts)
        return Narrative(tuple(grounded), claims=checked.claims, unsupported=len(checked.unsupported))
    try:
        text = ask(prompt_of(facts), config)
    except WriterError as error:
        return _fall_back(grounded, config.writer, str(error))
    return review(text, facts, grounded, config)


def grounded_sentences(facts: Facts) -> list[Sentence]:
    """Return the sentences of the fixed rules on a slide or a patch."""
    return describe_slide(facts) if facts.kind is SLIDE else describe_patch(facts)


def review(text: str, facts: Facts, grounded: Sequence[Sentence], config: NarrativeConfig) -> Narrative:
    """Return what may stand of a language model's text, or the grounded sentences in its place."""
    if not text.strip():
        return _fall_back(grounded, config.writer, "it wrote nothing")
    verdict = verify(text, facts)
    false = verdict.unsupported
    counts = {"claims": verdict.claims, "unsupported": len(false)}
    dropped = tuple(Dropped(s.text, _reason(s)) for s in verdict.sentences if s.unsupported or not s.claims)
    if false and config.on_unsupported == "refuse":
        return _fall_back(grounded, config.writer, f"it claimed {_quoted(false)}", dropped=dropped, **counts)
    kept = [_sourced(s, facts) for s in verdict.sentences if s.claims and not s.unsupported]
    if not kept:
        return _fall_back(grounded, config.writer, "no sentence of it can be kept", dropped=dropped, **counts)
    doubts = [sentence for sentence in grounded if sentence.topic == "uncertain"]
    return Narrative(
        (*kept, *doubts),
        asked=config.writer,
        writer=config.writer,
        dropped=dropped,
        note="What is uncertain was added by the grounded writer." if doubts else "",
        **counts,
    )


def _fall_back(
    grounded: Sequence[Sentence],
    asked: str,
    reason: str,
    *,
    dropped: tuple[Dropped, ...] = (),
    claims: int = 0,
    unsupported: int = 0,
) -> Narrative:
    note = f"The text of the writer {asked!r} is not shown: {reason}. This is the grounded text."
    _log.warning("narrative: %s", note)
    return Narrative(
        tuple(grounded), asked=asked, claims=claims, unsupported=unsupported, dropped=dropped, note=note
    )


def _quoted(claims: Sequence[Claim]) -> str:
    """Return the first unsupported claims in words."""
    shown = [f"{claim.text!r} ({claim.kind}: {claim.reason})" for claim in claims[:3]]
    more = len(claims) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _reason(sentence: Checked) -> str:
    return _quoted(sentence.unsupported) if sentence.unsupported else _NOTHING


def _sourced(sentence: Checked, facts: Facts) -> Sentence:
    """Return a verified sentence with what its claims trace to."""
    sources = (
        facts.source(str(claim.source), claim.text if claim.kind == "number" else "")
        for claim in sentence.claims
    )
    return Sentence(sentence.text, tuple(sources))
