"""The table of writers: `narrative.writer` of the settings names one of these."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from histome.config import NarrativeConfig
from histome.narrative.writers.endpoint import ask_endpoint
from histome.narrative.writers.language_models import ask_folder


class Writer(NamedTuple):
    """Who writes: what a report calls it, and what returns its text in a conversation.

    Attributes
    ----------
    ask : callable(turns, config) or None
        `turns` are the prompt and then, in turn, what was written and answered. None for the grounded rules,
        whose sentences need no asking. Raises WriterError where no text can be had.
    """

    description: str
    ask: Callable[[Sequence[str], NarrativeConfig], str] | None = None


def _ask_folder(turns: Sequence[str], config: NarrativeConfig) -> str:
    return ask_folder(
        turns,
        config.model or "",
        max_tokens=config.max_tokens,
        timeout_s=config.timeout_s,
        device=config.device,
        dtype=config.dtype,
    )


def _ask_endpoint(turns: Sequence[str], config: NarrativeConfig) -> str:
    options = {"timeout_s": config.timeout_s, "max_tokens": config.max_tokens}
    return ask_endpoint(turns, config.endpoint or "", config.model or "", **options)


# A name here is one of `config.WriterName`: an unknown one is refused with the settings, before any work.
WRITERS: Mapping[str, Writer] = {
    "grounded": Writer("a fixed set of rules"),
    "transformers": Writer("a language model on the machine of the run", _ask_folder),
    "openai": Writer("a language model at an endpoint of the user", _ask_endpoint),
}
