"""What is kept from a language model that is being taught, and what it writes of that, by the verifier."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from histome.errors import UsageError
from histome.narrative.facts import SLIDE, Facts
from histome.narrative.verifier import Tally
from histome.narrative.writers.language_models import WriterError, ask_model, prompt_of
from histome.narrative.writers.verified import read_text
from histome.training.narrative.pairs import Pair
from histome.training.progress import say_now

_ALONE = (
    "warning: --checked: there is one profile, and its slide and other patches are learned from: the model "
    "knows the tissue that is checked; give profiles of two slides or more"
)


class Written(NamedTuple):
    """What a model wrote of the facts kept back.

    Attributes
    ----------
    asked : int
        Slides and patches.
    tally : Tally
        Sentences that the facts support, contradict and cannot tell; of a text each once, as profiles have
        it.
    silent : tuple of str
        Of each slide or patch without a text, why.
    """

    asked: int
    tally: Tally
    silent: tuple[str, ...] = ()


def verified_texts(model: Any, tokenizer: Any, facts: Sequence[Facts], *, max_tokens: int) -> Written:
    """Ask a model for a text on each of the facts and let the verifier read it."""
    training, tallies, silent = model.training, [Tally(0, 0, 0)], list[str]()
    model.eval()
    for each in facts:
        try:
            said = ask_model(model, tokenizer, [prompt_of(each)], max_tokens=max_tokens)
            text, verdict = read_text(said, each)
            if not text:
                raise WriterError("it wrote nothing")
        except WriterError as error:
            silent.append(str(error))
        else:
            tallies.append(verdict.tally)
    model.train(training)
    return Written(len(facts), Tally(*(sum(column) for column in zip(*tallies, strict=True))), tuple(silent))


def keep_back(pairs: Sequence[Pair], checked: int) -> tuple[list[Pair], list[Facts]]:
    """Return the pairs to learn from and, of those kept back, the facts to write of: `checked`, slides first.

    The last profiles are kept back whole, for a slide is the sum of its tiles; pairs without a profile, and
    those of the only one, by their prompts. Raises UsageError where nothing can be verified or learned.
    """
    if not checked:
        return list(pairs), []
    if all(pair.facts is None for pair in pairs):
        raise UsageError(
            f"--checked {checked}: no pair has facts to verify a text by; give facts in place of prompt"
        )
    alone = pairs[0].profile is not None and len({pair.profile for pair in pairs}) == 1
    sources = [pair.prompt if alone else pair.profile or pair.prompt for pair in pairs]
    known = {source: dict[str, Facts]() for source in sources}  # by prompt
    for source, pair in zip(sources, pairs, strict=True):
        known[source] |= {} if pair.facts is None else {pair.prompt: pair.facts}
    kept, facts = set[str](), dict[str, Facts]()
    for source in reversed(known):
        if known[source] and len(facts) < checked:
            kept.add(source)
            facts = known[source] | facts
    # A slide that was profiled twice has its prompt in both.
    prompts = {pair.prompt for source, pair in zip(sources, pairs, strict=True) if source in kept}
    learned = [pair for pair in pairs if pair.prompt not in prompts]
    if not learned:
        most = len(facts) - len(known[sources[0]])
        raise UsageError(f"--checked {checked}: none is left to learn from; check {most} at most")
    asked = _spread(list(facts.values()), checked)
    profiles = {pair.profile for pair in pairs if pair.profile}
    whole = f"{len(kept & profiles)} of {len(profiles)} profiles whole, " if kept & profiles else ""
    slides = sum(each.kind is SLIDE for each in asked)
    told = f"{slides} slides and {len(asked) - slides} patches of them are checked"
    say_now(f"kept back: {whole}{len(facts)} prompts; {told}")
    if alone:
        say_now(_ALONE)
    return learned, asked


def _spread(facts: Sequence[Facts], most: int) -> list[Facts]:
    """Return so many of the facts: slides, then patches from all over them."""
    found = [each for each in facts if each.kind is SLIDE][:most]
    patches, room = [each for each in facts if each.kind is not SLIDE], most - len(found)
    return found + (patches[:: max(1, len(patches) // room)][:room] if room else [])
