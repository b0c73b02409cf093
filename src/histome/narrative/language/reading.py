"""From a sentence to its words: each a phrase of the closed vocabulary, an amount or a sign."""

import re
from dataclasses import replace
from functools import cache

from histome.narrative.language.lexicon import phrases, vocabulary
from histome.narrative.language.numerals import in_unit_of, units_shared, with_amounts
from histome.narrative.language.pieces import Token, Unread
from histome.narrative.language.tokens import MOST_TOKENS, Lexeme, lexemes


@cache
def _refused() -> re.Pattern[str]:
    words = [re.escape(word).replace(r"\*", r"\w*") for word in vocabulary()["refused"]["words"]]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.I)


# A tumor that invades is a finding of its own; cells that do are cells that lie there.
_DEEDS = re.compile(
    r"\b(?:tumou?r|carcinoma|cancer|neoplasm|malignant|neoplastic)s?(?: cells?)? "
    r"(?:(?:has|have|had|is|are|was|been|deeply|also|clearly) )*"
    r"(?:invad|infiltrat|penetrat|coloni[sz]|permeat|enter)\w*",
    re.I,
)


def refused_words(sentence: str) -> list[str]:
    """Return the words on treatment, prognosis, grade, stage, markers, and what a tumor does."""
    return [match[0] for words in (_refused(), _DEEDS) for match in words.finditer(sentence)]


def read_tokens(sentence: str, subject: str) -> list[Token]:
    """Return the tokens of a sentence, amounts put together, numbers in brackets with what they stand behind.

    Raises Unread for a word that is not of the vocabulary, or too long a sentence.
    """
    tokens = _lookup(lexemes(sentence), subject)
    return _brackets(units_shared(with_amounts(tokens, sentence, subject)))


def _lookup(found: list[Lexeme], subject: str) -> list[Token]:
    """Return tokens: at each place the longest phrase of the vocabulary."""
    if len(found) > MOST_TOKENS:
        raise Unread(f"a sentence of more than {MOST_TOKENS} words is not read")
    known, longest = phrases(subject)
    found = [
        one for k, one in enumerate(found) if not (k and one.text in "<>" and found[k - 1].text == one.text)
    ]
    words = [one for one in found if not (one.text in "-/_\u2013" and _joins(one, found))]
    tokens: list[Token] = []
    at = 0
    while at < len(words):
        lexeme = words[at]
        if lexeme.number or lexeme.unit or not lexeme.text[0].isalpha():
            tokens.append(_sign(lexeme))
            at += 1
            continue
        for size in range(min(longest, len(words) - at), 0, -1):
            phrase = tuple(word.text for word in words[at : at + size])
            kinds = known.get(phrase) or known.get(_plainly(phrase))
            if kinds:
                break
        else:
            raise Unread(f"{lexeme.text!r} is no word of the vocabulary")
        tokens.append(Token(dict(kinds), lexeme.start, words[at + size - 1].end))
        at += size
    return tokens


def _plainly(phrase: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of "tissue around the tumor's" as the vocabulary has them."""
    inner = tuple(word for word in phrase[1:-1] if word not in ("the", "a", "an", "this"))
    return tuple(word.removesuffix("'s") for word in (phrase[0], *inner, *phrase[1:][-1:]))


def _joins(sign: Lexeme, found: list[Lexeme]) -> bool:
    """Whether a hyphen stands within a word, or between a number and a word."""
    at = found.index(sign)
    if not 0 < at < len(found) - 1:
        return False
    before, after = found[at - 1], found[at + 1]
    close = before.end == sign.start and after.start == sign.end
    return close and not (before.number and after.number)


def _sign(lexeme: Lexeme) -> Token:
    """Return the token of a number, a bare unit or a sign."""
    place = lexeme.start, lexeme.end
    if lexeme.number:
        return Token({"#": lexeme.number}, *place)
    if lexeme.unit:
        return Token({"$": lexeme.unit}, *place)
    if lexeme.text in ",;:\u2013\u2014":
        return Token({",": lexeme.text, "_": ""}, *place)
    if lexeme.text in ".!\"'\u201c\u201d":
        return Token({"_": ""}, *place)
    if lexeme.text in "()[]":
        return Token({{"[": "(", "]": ")"}.get(lexeme.text, lexeme.text): ""}, *place)
    if lexeme.text in "~\u2248<>\u2264\u2265":
        more = {">": {"x": 1}, "<": {"x": -1}}.get(lexeme.text, {})  # "granulocytes > macrophages"
        name = {"<": "under", "\u2264": "at_most", ">": "over", "\u2265": "at_least"}.get(
            lexeme.text, "about"
        )
        return Token({"~": name, **more}, *place)
    if lexeme.text in "-/=&+\u00d7":
        kinds = {"-": "-", "/": "/", "=": "v", "&": "&", "+": "&", "\u00d7": "@"}[lexeme.text]
        return Token({kinds: lexeme.text}, *place)
    raise Unread(f"the sign {lexeme.text!r} is not read")


def _brackets(tokens: list[Token]) -> list[Token]:
    """Return tokens without brackets: numbers go to what stands before, other words between commas."""
    found: list[Token] = []
    behind_clause: list[Token] = []  # "a few (20 of 400) lie in the carcinoma": of those that lie there
    at = 0
    while at < len(tokens):
        if "(" not in tokens[at].kinds:
            if ")" in tokens[at].kinds:
                raise Unread("a bracket is not closed")
            if tokens[at].has(","):
                found += behind_clause
                behind_clause = []
            found.append(tokens[at])
            at += 1
            continue
        end = next((k for k in range(at, len(tokens)) if ")" in tokens[k].kinds), None)
        if end is None:
            raise Unread("a bracket is not closed")
        inner = tokens[at + 1 : end]
        notes = [token.kinds["Q"] for token in inner if "Q" in token.kinds]
        plain = all(token.has("Qa_") or (token.has("v") and len(notes) == 1) for token in inner)
        if plain and len(notes) == 2 and any(token.has("a") for token in inner):
            if notes[0].dimension is None and notes[1].dimension:
                notes[0] = in_unit_of(notes[1], notes[0])
            cells, places, any_ = ([t for t in found if t.has(kinds)] for kinds in ("E", "TL", "ETL"))
            both = next((named[-2:] for named in (cells, places) if len(named) > 1), any_[:1])
            if found[0].has("p"):  # "for every a, two b (800 versus 400)"
                both.reverse()
            for thing in both[: None if len(both) > 1 else 0]:
                thing.notes.append(notes.pop(0))
            if both and notes:
                both[0].notes.append(notes.pop(0))
            if not notes:
                at = end + 1
                continue
        behind = next((t for t in reversed(found) if t.has("ETLMHQAWJ!c")), None)
        comma = Token({",": ",", "_": ""}, tokens[at].start, tokens[at].end)
        if plain and notes and behind is not None:
            behind.notes.extend(notes)
        elif _is_part(inner) and not behind_clause:
            behind_clause = [comma, *inner]
        else:
            found += [comma, *inner, replace(comma, start=tokens[end].start, end=tokens[end].end)]
        at = end + 1
    return found + behind_clause


def _is_part(inner: list[Token]) -> bool:
    """Whether it is "20 of 400" or "20 of 400 cells"."""
    told = [token for token in inner if not set(token.kinds) <= {"_"}]
    part = len(told) >= 3 and told[0].has("Q") and told[1].has("o") and told[2].has("Q")
    return part and all(token.has("WE") for token in told[3:])
