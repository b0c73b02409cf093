"""Who writes: the fixed rules for a slide and for a patch, language models, and the table of them.

A new writer is a context that gives a function from a prompt to a text, a line of `WRITERS` and a name of
`config.WriterName`.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.narrative.writers.language_models import WriterError, prompt_of
    from histome.narrative.writers.patch import describe_patch
    from histome.narrative.writers.slide import describe_slide
    from histome.narrative.writers.table import WRITERS, Writer
    from histome.narrative.writers.verified import grounded_sentences, write

__all__ = [
    "WRITERS",
    "Writer",
    "WriterError",
    "describe_patch",
    "describe_slide",
    "grounded_sentences",
    "prompt_of",
    "write",
]
__getattr__ = opened(__name__, __file__)
