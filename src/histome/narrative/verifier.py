"""Is a text true to the facts? A sentence is supported only if all it asserts is understood and supported.

A sentence is read into claims: cells, tissues or measures, an amount, a comparison, a rank, a place, a
phenotype. Words and clauses are a closed vocabulary (`language/vocabulary.toml`); words for an amount are
intervals (`language/amounts.toml`). A sentence with anything outside of it is not checkable: it is counted
and shown as such and never as verified. Words on treatment, prognosis, grade, stage and markers are refused.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from histome.narrative.facts import Facts
from histome.narrative.language.grammar import claims_of
from histome.narrative.language.judging import Judged
from histome.narrative.language.pieces import Unread
from histome.narrative.language.quantities import World
from histome.narrative.language.reading import refused_words
from histome.narrative.language.tokens import split_sentences
from histome.narrative.sentences import Sentence
from histome.narrative.statements import statements

State = Literal["supported", "contradicted", "not checkable"]
_REFUSED = "words on treatment, prognosis, grade, stage, markers and invasion are refused"


class Claim(NamedTuple):
    """One thing that a sentence says.

    `kind` is number, unit, class, comparison, place, pattern, phenotype, finding, refused or statement.
    `state` says whether the facts support it, contradict it or leave it open; `sources` are the paths of the
    values, or the label, that decide, `reason` says why it is not supported.
    """

    text: str
    kind: str
    state: State
    sources: tuple[str, ...] = ()
    reason: str = ""


class Checked(NamedTuple):
    """A sentence, what became of it and why, and its claims."""

    text: str
    state: State
    claims: tuple[Claim, ...] = ()
    reason: str = ""


class Tally(NamedTuple):
    """How many sentences are supported, contradicted, not checkable."""

    supported: int = 0
    contradicted: int = 0
    not_checkable: int = 0

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return sum(self)


@dataclass(frozen=True)
class Verdict:
    """A text, sentence by sentence."""

    sentences: tuple[Checked, ...]

    @property
    def tally(self) -> Tally:
        """How many sentences are supported, contradicted, not checkable."""
        states = Counter(sentence.state for sentence in self.sentences)
        return Tally(states["supported"], states["contradicted"], states["not checkable"])

    @property
    def claims(self) -> int:
        """Number of claims."""
        return sum(len(sentence.claims) for sentence in self.sentences)

    @property
    def unsupported(self) -> list[Checked]:
        """The sentences that are not supported."""
        return [sentence for sentence in self.sentences if sentence.state != "supported"]


def verify(text: str, facts: Facts) -> Verdict:
    """Check a text against the facts of a slide or patch.

    Examples
    --------
    >>> from histome.narrative import Facts, verify
    >>> raw = {"total_cell_count": 40, "count_Neoplastic": 30, "count_Inflammatory": 10}
    >>> facts = Facts.of_patch({"raw_data": raw, "interpretation": {}, "generated_tokens": []})
    >>> text = "Three quarters of the cells are neoplastic. Most are inflammatory. The cells are exhausted."
    >>> [sentence.state for sentence in verify(text, facts).sentences]
    ['supported', 'contradicted', 'not checkable']
    >>> verify("Inflammatory cells outnumber neoplastic cells.", facts).sentences[0].reason
    'the numbers say otherwise'
    """
    world = World(facts)
    known = {one.text: _known(one) for one in statements(facts)}
    sentences = []
    for sentence in split_sentences(text):
        if sentence not in known:
            known[sentence] = check_sentence(sentence, world)
        sentences.append(known[sentence])
    return Verdict(tuple(sentences))


def _known(sentence: Sentence) -> Checked:
    """Return the verdict on a statement to the letter."""
    sources = tuple(source.name for source in sentence.sources)
    return Checked(sentence.text, "supported", (Claim(sentence.text, "statement", "supported", sources),))


def check_sentence(sentence: str, world: World) -> Checked:
    """Return what becomes of one sentence."""
    if words := refused_words(sentence):
        claim = Claim(words[0], "refused", "not checkable", reason=_REFUSED)
        return Checked(sentence, "not checkable", (claim,), f"{words[0]!r}: {_REFUSED}")
    try:
        claims = tuple(map(_claim, claims_of(sentence, world)))
    except Unread as error:
        return Checked(sentence, "not checkable", (), str(error))
    for state in ("contradicted", "not checkable"):
        for claim in claims:
            if claim.state == state:
                return Checked(sentence, state, claims, claim.reason)
    return Checked(sentence, "supported", claims)


def _claim(judged: Judged) -> Claim:
    states: dict[bool | None, State] = {True: "supported", False: "contradicted", None: "not checkable"}
    return Claim(judged.text, judged.kind, states[judged.true], judged.sources, judged.reason)
