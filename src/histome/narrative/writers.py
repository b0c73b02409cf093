"""One function that writes a narrative, whoever holds the pen, with the verifier in front of every text."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from histome.config import NarrativeConfig
from histome.errors import UsageError
from histome.narrative.language_models import WriterError, ask_endpoint, ask_folder, prompt_of
from histome.narrative.patch_writer import describe_patch
from histome.narrative.sentences import Dropped, Narrative, Sentence, Source
from histome.narrative.slide_writer import describe_slide
from histome.narrative.verify import Checked, verify

_NOTHING = "nothing in it can be checked"
_log = logging.getLogger(__name__)


def write(facts: Mapping[str, Any], config: NarrativeConfig | None = None) -> Narrative:
    """Return the narrative of a slide (`slide_facts`) or a patch (the JSON of `histome tme patch`).

    The grounded writer (default) is deterministic and offline. A language model's text is verified first:
    where it says nothing, cannot be had or claims what traces to no fact, the grounded text is returned and
    `note` says why (`on_unsupported = "drop"` only drops the sentences concerned). What the grounded writer
    holds uncertain is always added.

    Raises UsageError for facts of another form or incomplete settings, ModelError for a folder without a
    language model.
    """
    config = config or NarrativeConfig()
    grounded = describe(facts)
    if config.writer == "grounded":
        checked = verify(" ".join(sentence.text for sentence in grounded), facts)
        return Narrative(tuple(grounded), claims=checked.claims, unsupported=len(checked.unsupported))
    try:
        text = _ask(prompt_of(facts), config)
    except WriterError as error:
        return _instead(grounded, config.writer, str(error))
    return review(text, facts, grounded, config)


def describe(facts: Mapping[str, Any]) -> list[Sentence]:
    """Return the grounded sentences on a slide or a patch."""
    return describe_slide(facts) if facts.get("subject") == "slide" else describe_patch(facts)


def _ask(prompt: str, config: NarrativeConfig) -> str:
    if not config.model:
        wanted = "a model's folder" if config.writer == "transformers" else "the model's name"
        raise UsageError(f"narrative writer {config.writer!r}: set narrative.model to {wanted}")
    if config.writer == "transformers":
        return ask_folder(prompt, config.model)
    if not config.endpoint:
        raise UsageError("narrative writer 'openai': set narrative.endpoint to the address of the server")
    return ask_endpoint(prompt, config.endpoint, config.model, timeout_s=config.timeout_s)


def review(
    text: str, facts: Mapping[str, Any], grounded: Sequence[Sentence], config: NarrativeConfig
) -> Narrative:
    """Return what may stand of a language model's text, or the grounded sentences in its place."""
    if not text.strip():
        return _instead(grounded, config.writer, "it wrote nothing")
    verdict = verify(text, facts)
    false = verdict.unsupported
    counts = {"claims": verdict.claims, "unsupported": len(false)}
    dropped = tuple(Dropped(s.text, _reason(s)) for s in verdict.sentences if s.unsupported or not s.claims)
    if false and config.on_unsupported == "refuse":
        return _instead(grounded, config.writer, f"it claimed {_told(false)}", dropped=dropped, **counts)
    kept = [_sourced(s, facts) for s in verdict.sentences if s.claims and not s.unsupported]
    if not kept:
        return _instead(grounded, config.writer, "no sentence of it can be kept", dropped=dropped, **counts)
    doubts = [sentence for sentence in grounded if sentence.topic == "uncertain"]
    return Narrative(
        (*kept, *doubts),
        asked=config.writer,
        writer=config.writer,
        dropped=dropped,
        note="What is uncertain was added by the grounded writer." if doubts else "",
        **counts,
    )


def _instead(
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


def _told(claims: Sequence[Any]) -> str:
    """Return the first unsupported claims in words."""
    shown = [f"{claim.text!r} ({claim.kind}: {claim.reason})" for claim in claims[:3]]
    more = len(claims) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _reason(sentence: Checked) -> str:
    return _told(sentence.unsupported) if sentence.unsupported else _NOTHING


def _sourced(sentence: Checked, facts: Mapping[str, Any]) -> Sentence:
    """Return a verified sentence with what its claims trace to."""
    raw, units = facts["raw_data"], facts.get("units", {})
    sources = []
    for claim in sentence.claims:
        name = str(claim.source)
        key = name.removeprefix("raw_data.")
        text = claim.text if claim.kind == "number" else ""
        samples = facts.get("samples", {})
        value = samples.get(key.removesuffix(".n")) if key.endswith(".n") else raw.get(key)
        sources.append(Source(name, value, "" if key.endswith(".n") else units.get(key, ""), text))
    return Sentence(sentence.text, tuple(sources))
