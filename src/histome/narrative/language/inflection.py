"""Forms of English words: plurals of nouns, verbs by person and tense, British spelling as American."""

import re
from collections.abc import Iterator, Mapping

_BRITISH = (
    (re.compile(r"(tum|neighb|harb|col|fav|behavi)our"), r"\1or"),
    (re.compile(r"haem"), "hem"),
    (re.compile(r"analys(e\b|ed|ing)"), r"analyz\1"),
    (re.compile(r"\b(cent|met|fib|millimet|micromet|centimet)re(s|d)?\b"), r"\1er\2"),
    (re.compile(r"label(l)(ed|ing)"), r"label\2"),
    (re.compile(r"(?<!pr)(?<!pa)(?<!re)(?<!ra)(?<!ar)(?<!\br)(?<!dv)(?<!om)is(ed|es|ing|ation)\b"), r"iz\1"),
)
_SIBILANT = re.compile(r"(?:s|x|z|ch|sh|o)$")
_SHORT = re.compile(r"[^aeiou]*[aeiou][bdgklmnprt]$")  # "span" doubles its last letter: spanned
_AFTER_CONSONANT = re.compile(r"[^aeiou]y$")


def american(text: str) -> str:
    """Return a text in lower case in American spelling."""
    for british, spelled in _BRITISH:
        text = british.sub(spelled, text)
    return text


def plural(word: str) -> str:
    """Return the plural of a noun."""
    if word == "nucleus":
        return "nuclei"
    if word in ("focus", "locus"):
        return word[:-2] + "i"
    if word.endswith("y") and word[-2:] not in ("ay", "oy", "ey"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ss")) else "s")


def verb_forms(phrase: str, irregular: Mapping[str, str]) -> Iterator[str]:
    """Yield the forms of a verb, the first word of a phrase: "accounts for", "accounted for"."""
    verb, _, rest = phrase.partition(" ")
    for form in (verb, _third_person(verb), *(irregular.get(verb) or _past(verb)).split(), _ongoing(verb)):
        yield f"{form} {rest}".strip()


def _third_person(verb: str) -> str:
    if _AFTER_CONSONANT.search(verb):
        return verb[:-1] + "ies"
    return verb + ("es" if _SIBILANT.search(verb) else "s")


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if _AFTER_CONSONANT.search(verb) else _doubled(verb) + "ed"


def _ongoing(verb: str) -> str:
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else _doubled(verb)) + "ing"


def _doubled(verb: str) -> str:
    return verb + verb[-1] if _SHORT.fullmatch(verb) else verb
