"""Is a text true to the facts? Every number, unit, class, phenotype and finding in it must trace to one.

A number traces to a value that is about the same cells and tissue, in the same kind of unit, and equal to it
when rounded to the printed digits. A phrase traces to a label or token. What cannot be read as a claim is not
checked; a sentence without any claim rests on nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from histome.narrative import claims
from histome.narrative.claims import Mention, Number
from histome.narrative.facts import Fact, Facts
from histome.narrative.subjects import Subjects

_HEDGE = re.compile(
    r"(?:\babout|approximately|approx\.|around|roughly|nearly|almost|\bsome|~|ca\.|circa|\u2248)\s*$", re.I
)
_AT_LEAST = re.compile(r"(?:\bmore than|\bover|\babove|at least|exceed\w*|>|\u2265)\s*$", re.I)
_AT_MOST = re.compile(r"(?:less than|fewer than|\bunder|\bbelow|at most|up to|<|\u2264)\s*$", re.I)
_OF_ALL = re.compile(
    r"(?:\bof|\bamong|\ball|\btotal(?: of)?|\bn\s?=)\s*(?:the\s+|all\s+|a total of\s+)*$", re.I
)
_IN_ORDER = re.compile(r"\brespectively\b|\([^()]*\d[^()]*\b(?:against|versus|vs)\b[^()]*\d[^()]*\)", re.I)
_CLAUSE = re.compile(r"[,;:]|\b(?:but|while|whereas|although|though)\b", re.I)
_BETWEEN = re.compile(r"[\s:=(\u202f\u00a0-]*(?:are |were |is |of )?$")


class Claim(NamedTuple):
    """One thing that a sentence says.

    `kind` is number, unit, class, phenotype, finding, comparison or clinical: for an unsupported number it
    says what is wrong, its unit, its class or the number itself. `source` is the path of the value, or the
    label or token, that it traces to, None where it traces to nothing; then `reason` says why.
    """

    text: str
    kind: str
    source: str | None
    reason: str = ""


class Checked(NamedTuple):
    """A sentence with its claims, in order."""

    text: str
    claims: tuple[Claim, ...]

    @property
    def unsupported(self) -> list[Claim]:
        """The claims that trace to nothing."""
        return [claim for claim in self.claims if claim.source is None]


@dataclass(frozen=True)
class Verdict:
    """A text, sentence by sentence."""

    sentences: tuple[Checked, ...]

    @property
    def claims(self) -> int:
        """Number of claims."""
        return sum(len(sentence.claims) for sentence in self.sentences)

    @property
    def unsupported(self) -> list[Claim]:
        """The claims that trace to nothing."""
        return [claim for sentence in self.sentences for claim in sentence.unsupported]

    @property
    def hallucination_rate(self) -> float | None:
        """Unsupported claims / claims; None for a text that claims nothing."""
        return len(self.unsupported) / self.claims if self.claims else None


def verify(text: str, facts: Facts) -> Verdict:
    """Check a text against the facts of a slide or patch.

    Examples
    --------
    >>> from histome.narrative import Facts, verify
    >>> raw = {"total_cell_count": 40, "count_Neoplastic": 30, "count_Inflammatory": 10}
    >>> facts = Facts.of_patch({"raw_data": raw, "interpretation": {}, "generated_tokens": []})
    >>> verdict = verify("The patch holds 40 cells. There are 25 inflammatory cells among them.", facts)
    >>> [(claim.text, claim.source) for sentence in verdict.sentences for claim in sentence.claims]
    [('40', 'raw_data.total_cell_count'), ('25', None)]
    >>> verdict.hallucination_rate, verdict.unsupported[0].reason
    (0.5, 'no value is this number')
    """
    return Verdict(tuple(check_sentence(sentence, facts) for sentence in claims.split_sentences(text)))


def check_sentence(sentence: str, facts: Facts) -> Checked:
    """Return the claims of one sentence, each with the fact that it traces to or why it traces to none."""
    phenotypes = claims.find_phenotypes(sentence)
    plain = claims.masked(sentence, phenotypes)
    reading = _Reading(plain, facts, claims.find_numbers(plain), claims.find_mentions(plain, facts.kind.name))
    found = (
        *(_phenotype(sentence, mention, facts) for mention in phenotypes),
        *reading.numbers_claimed(),
        *reading.classes_claimed(),
        *reading.findings_claimed(),
        *reading.comparisons_claimed(),
        *(
            Claim(match[0], "clinical", None, "clinical statements are not made here")
            for match in claims.CLINICAL.finditer(plain)
        ),
    )
    return Checked(sentence, found)


def _phenotype(sentence: str, mention: Mention, facts: Facts) -> Claim:
    text = sentence[mention.start : mention.end]
    given = [name for name in claims.PHENOTYPES[mention.term] if name.lower() in facts.phrases]
    denied = claims.NEGATION.search(sentence[max(0, mention.start - 12) : mention.start]) is not None
    if denied:
        source = None if given else f"not {claims.PHENOTYPES[mention.term][0]}"
        return Claim(text, "phenotype", source, f"the facts do say {given[0]}" if given else "")
    source = given[0] if given else None
    return Claim(text, "phenotype", source, "" if given else "no label or token says so")


@dataclass(frozen=True)
class _Reading:
    """One sentence without its phenotype phrases: what it names, and where."""

    text: str
    facts: Facts
    numbers: Sequence[Number]
    mentions: Sequence[Mention]

    def numbers_claimed(self) -> Iterator[Claim]:
        """Yield a claim for each number."""
        subjects = {*self._cells, *claims.PLACES}
        chunks = list(claims.split_chunks(self.text, list(self.numbers)))
        paired = self._paired()
        # "With an area of 30 um2, lymphocytes ...": the subject of the first part comes after it.
        before = self._first_subject(chunks[0][1])
        for start, end in chunks:
            own = frozenset(m.term for m in self.mentions if start <= m.start < end)
            for number in self.numbers:
                if start <= number.start < end:
                    yield self._number(number, paired.get(number, own), before)
            before = own if own & subjects else before

    def _paired(self) -> dict[Number, Subjects]:
        """Return what each number is about in "a, b (1 against 2)" and "a and b: 1 and 2, respectively"."""
        kinds = self._cells | set(claims.PLACES)
        named = [m.term for m in self.mentions if m.term in kinds]
        if len(named) != len(self.numbers) or not _IN_ORDER.search(self.text):
            return {}
        return {number: frozenset([term]) for number, term in zip(self.numbers, named, strict=True)}

    def _first_subject(self, start: int) -> Subjects:
        """Return the first kind of cell named from `start` to the next number, and the tissues there."""
        end = min((n.start for n in self.numbers if n.start >= start), default=len(self.text))
        named = [m.term for m in self.mentions if start <= m.start < end]
        cells = [term for term in named if term in self._cells]
        return frozenset([*cells[:1], *(term for term in named if term in claims.PLACES)])

    @property
    def _cells(self) -> frozenset[str]:
        groups = ("immune", "til", "aggregate", "inflamed", "excluded", "desert", "other", "VALID_TISSUE")
        return frozenset((*claims.CELL_TERMS[self.facts.kind.name], *groups))

    def _number(self, number: Number, own: Subjects, before: Subjects) -> Claim:
        text = self.text[number.start : number.end].strip()
        about = [fact for fact in self.facts.numbers if self._is_about(fact, number, own, before)]
        fits = _fitting(number, self.text[: number.start])
        for fact in about:
            if fits(fact):
                return Claim(text, "number", fact.path)
        if any(fits(fact, units=False) for fact in about):
            return Claim(text, "unit", None, "the value has another unit")
        others = [fact.path for fact in self.facts.numbers if fits(fact)]
        if others:
            return Claim(text, "class", None, f"the number is that of {others[0]}")
        return Claim(text, "number", None, "no value is this number")

    def _is_about(self, fact: Fact, number: Number, own: Subjects, before: Subjects) -> bool:
        """Whether the words round a number are those for what a fact is about; see `facts.Fact`."""
        beside = self._beside(number)
        everywhere = {m.term for m in self.mentions} - self._cells - set(claims.PLACES)
        of_all = number.dimension is None and not beside and bool(_OF_ALL.search(self.text[: number.start]))
        own_cells, own_places = own & self._cells, own & set(claims.PLACES)
        cells = own_cells or before & self._cells
        places = own_places or before & set(claims.PLACES)
        for about in fact.about:
            if not about <= cells | places | everywhere or not beside <= about:
                continue
            if of_all and not own_cells and about & cells:
                continue  # "of the 4,501 cells, ...": the subject that follows is a part of them
            if of_all and not about:
                return True
            if own_cells and not about & own_cells:
                continue
            if own_places <= about:
                return True
        return False

    def _beside(self, number: Number) -> Subjects:
        """Return the cells or tissues named right after a number, or else right before it."""
        kinds = self._cells | set(claims.PLACES)
        named = [m for m in self.mentions if m.term in kinds]
        after = [
            m.term
            for m in named
            if not self.text[number.end : m.start].strip(" \u202f(") and m.start >= number.end
        ]
        if after:
            return frozenset(after)
        return frozenset(
            m.term
            for m in named
            if m.end <= number.start and _BETWEEN.fullmatch(self.text[m.end : number.start])
        )

    def classes_claimed(self) -> Iterator[Claim]:
        """Yield a claim for each unknown kind of cell, each said to prevail, each named without a number."""
        for start, end, name in claims.find_strangers(self.text, self.facts.kind.name):
            yield Claim(self.text[start:end], "class", None, f"the facts know no {name.lower()}")
        if claims.ABOUT_MODEL.search(self.text) or not self.facts.counts:
            return
        named = [m for m in self.mentions if m.term in claims.CELL_TERMS[self.facts.kind.name]]
        yield from self._dominance(named)
        if not self.numbers:
            for mention in named:
                yield self._presence(mention)

    def _dominance(self, named: Sequence[Mention]) -> Iterator[Claim]:
        for match in claims.DOMINANCE.finditer(self.text):
            first = self._subject(match, named)
            if first is None or self.facts.counts.get(first.term) is None:
                continue
            others = [m for m in named if m.start > match.end() and m.term != first.term]
            outnumbers = match[0].lower().startswith("outnumber") and others
            rivals = [m.term for m in others] if outnumbers else list(self.facts.counts)
            most = all(
                self.facts.counts[first.term] >= self.facts.counts.get(r, 0) for r in rivals if r != "other"
            )
            source = f"count of {first.term}" if most else None
            yield Claim(
                f"{match[0]}: {first.term}", "class", source, "" if most else "another class has more cells"
            )

    def _subject(self, match: re.Match[str], named: Sequence[Mention]) -> Mention | None:
        """Return the class that is said to prevail."""
        after = [m for m in named if m.start >= match.end()]
        before = [m for m in named if m.end <= match.start()]
        word = match[0].lower()
        backwards = self.text[match.end() :].lstrip().startswith("by") or word.startswith(
            ("most", "majority")
        )
        if backwards and after:
            return after[0]
        return before[-1] if before else (after[0] if after else None)

    def _presence(self, mention: Mention) -> Claim:
        text, count = self.text[mention.start : mention.end], self.facts.counts.get(mention.term)
        clause = self._clause(mention)
        denied = claims.NEGATION.search(clause) is not None
        if claims.VAGUE.search(clause):
            return Claim(text, "class", None, "an amount in words traces to no number")
        if count is None:
            return Claim(text, "class", None, "the facts hold no count of them")
        if (count > 0) == denied:
            return Claim(text, "class", None, "there are such cells" if denied else "there are no such cells")
        return Claim(text, "class", f"count of {mention.term}")

    def _clause(self, mention: Mention) -> str:
        """Return the words round a mention up to the next comma, semicolon or contrast."""
        cuts = [0, *(m.end() for m in _CLAUSE.finditer(self.text)), len(self.text)]
        return next(self.text[a:b] for a, b in pairwise(cuts) if mention.start < b)

    def findings_claimed(self) -> Iterator[Claim]:
        """Yield a claim for each histological finding that carries no number of its own."""
        for start, end, finding in claims.find_findings(self.text):
            amount = self.facts.findings.get(finding)
            denied = claims.NEGATION.search(self.text[:start]) is not None
            if amount is None:
                stated = None if denied else self._stated(self.text[start:end])
                yield Claim(
                    self.text[start:end], "finding", stated, "" if stated else "the facts do not speak of it"
                )
            elif (amount > 0) == denied and not self.numbers:
                yield Claim(
                    self.text[start:end], "finding", None, "it is there" if denied else "there is none"
                )
            else:
                yield Claim(self.text[start:end], "finding", finding)

    def _stated(self, word: str) -> str | None:
        """Return what was stated of the specimen in this word."""
        told = self.facts.stated.items()
        return next((f"stated: {name}" for name, value in told if value == word.lower()), None)

    def comparisons_claimed(self) -> Iterator[Claim]:
        """Yield a claim for "higher ... than" between two numbers of one unit."""
        for match in claims.COMPARISON.finditer(self.text):
            than = self.text.index("than", match.end())
            left = [n for n in self.numbers if n.start < than]
            right = [n for n in self.numbers if n.start > than]
            if not left or not right or left[-1].dimension != right[0].dimension:
                continue
            higher = left[-1].value * left[-1].factor > right[0].value * right[0].factor
            true = higher == bool(match["more"])
            source = "the two numbers" if true else None
            yield Claim(match[0], "comparison", source, "" if true else "the numbers say the opposite")


class _Fit(NamedTuple):
    """Whether a printed number can be a fact's value: equal to the printed digits, or beyond a bound."""

    number: Number
    half: float
    bound: int

    def __call__(self, fact: Fact, *, units: bool = True) -> bool:
        number = self.number
        if number.dimension is None:
            return self._near(fact.value)
        if number.dimension == fact.dimension and self._near(fact.base / number.factor):
            return True
        return not units and any(self._near(fact.value * k) for k in (1.0, 100.0, 1e-6, 1e6))

    def _near(self, value: float) -> bool:
        if self.bound:
            return (value - self.number.value) * self.bound >= 0
        return abs(value - self.number.value) <= self.half * (1 + 1e-9)


def _fitting(number: Number, before: str) -> _Fit:
    """Return the test of a number, given the text before it."""
    if _AT_LEAST.search(before):
        return _Fit(number, 0.0, 1)
    if _AT_MOST.search(before):
        return _Fit(number, 0.0, -1)
    half = number.half_digit
    if _HEDGE.search(before) and half == 0.5 and number.value:
        zeros = len(str(int(abs(number.value)))) - len(str(int(abs(number.value))).rstrip("0"))
        half = 0.5 * 10**zeros
    return _Fit(number, half, 0)
