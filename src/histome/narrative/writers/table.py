"""The table of writers: `narrative.writer` of the settings names one of these."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

from histome.config import NarrativeConfig
from histome.narrative.writers.endpoint import ask_endpoint
from histome.narrative.writers.model_process import model_asked

Ask = Callable[[Sequence[str]], str]


class Writer(NamedTuple):
    """Who writes: what a report calls it, and what returns its text in a conversation.

    Attributes
    ----------
    asked : callable(config) or None
        Gives a context of `ask(turns)`, held for a narrative: `turns` are the prompt and then, in turn, what
        was written and answered. None for the grounded rules, whose sentences need no asking. To ask raises
        WriterError where no text can be had.
    """

    description: str
    asked: Callable[[NarrativeConfig], AbstractContextManager[Ask]] | None = None


def _endpoint_asked(config: NarrativeConfig) -> AbstractContextManager[Ask]:
    where = {"endpoint": config.endpoint or "", "model": config.model or ""}
    limits = {"timeout_s": config.timeout_s, "max_tokens": config.max_tokens}
    return nullcontext(partial(ask_endpoint, **where, **limits))


# A name here is one of `config.WriterName`: an unknown one is refused with the settings, before any work.
WRITERS: Mapping[str, Writer] = {
    "grounded": Writer("a fixed set of rules"),
    "transformers": Writer("a language model on the machine of the run", model_asked),
    "openai": Writer("a language model at an endpoint of the user", _endpoint_asked),
}
