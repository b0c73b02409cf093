"""What a language model that is being taught writes of facts it did not learn from, by the verifier."""

from collections.abc import Sequence
from typing import Any

from histome.narrative.facts import Facts
from histome.narrative.verifier import Tally, verify
from histome.narrative.writers.cleaning import cleaned
from histome.narrative.writers.language_models import WriterError, ask_model, prompt_of


def verified_tally(model: Any, tokenizer: Any, facts: Sequence[Facts], *, max_tokens: int) -> Tally:
    """Return how many sentences the facts support, contradict and cannot tell; of no text none."""
    training, tallies = model.training, []
    model.eval()
    for each in facts:
        try:
            text = cleaned(ask_model(model, tokenizer, [prompt_of(each)], max_tokens=max_tokens))
        except WriterError:
            continue
        tallies.append(verify(text, each).tally)
    model.train(training)
    return Tally(*(sum(column) for column in zip(*tallies, strict=True))) if tallies else Tally(0, 0, 0)
