"""The closed vocabulary of the verifier (`vocabulary.toml`, `amounts.toml`) as phrases with their kinds.

A kind is one letter, as the patterns of `clauses` write it; a phrase may have several.

E cells, W all cells, T tissue, b pieces of one, J adjective of place, S the slide, I tiles, M measure, K
group; Q amount, A adjective and O adverb of amount, F factor, y degree, ~ hedge, % fraction, # number, ^
times a hundred; v a verb that asserts nothing but "seen" or "holds", x to outnumber, d and D to dominate, r
to rank, G to rise, 9 steadily; m comparative, q gradable adjective, n aspect, k rank, 1 ordinal; N no, Z
absent; c pattern, j arrangement, H phenotype, ! that of tiles, P what has one; a than, s as, o of, i in, w
with, p per, t to, g by, f from, u that, B both or each, z respectively, V followed by, U after, = beside, 0
nearest, 2 between, 3 abstained, 4 valid, 5 median, 6 all other, 7 rather than, 8 the rest, @ times, e
outside; "," and "&" separators, "_" nothing. Chunks make L places, Y measured things and R parts of things.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from histome.classes import CELL_CLASSES
from histome.narrative.language.amounts import amount_words, word_amount
from histome.narrative.language.inflection import plural, verb_forms
from histome.phenotype.axes import PANNUKE_CLASSES

Kinds = dict[str, Any]
_IMMUNE = ("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
_GROUPS = {
    "immune": _IMMUNE,
    "lymphoid": ("lymphocyte", "plasma_cell"),
    "not_carcinoma": tuple(name for name in CELL_CLASSES if name != "carcinoma_cell"),
    "not_neoplastic": tuple(name for name in PANNUKE_CLASSES if name != "Neoplastic"),
}
_PLAIN = {
    "filler": "_",
    "slide": "S",
    "group": "K",
    "that": "u",
    "than": "a",
    "beside": "=",
    "as": "s",
    "of": "o",
    "in": "i",
    "with": "w",
    "for_every": "p",
    "to": "t",
    "by": "g",
    "from": "f",
    "both": "B",
    "respectively": "z",
    "followed": "V",
    "after": "U",
    "no": "N",
    "absent": "Z",
    "separator": "&",
    "dominate": "d",
    "dominated_by": "D",
    "tumor_outside": "e",
    "tiles": "I",
    "pieces": "b",
}
_LABELS = ("class", "category", "cell class", "label", "cell category")
_NAMING = ("identify", "count", "recognize")  # "identified as"; "found as many" is no naming
_BODIES = ("compartment", "component", "element")  # of a tissue as well, where tissues are known
_NOUNS = "EWTSIMK"
_ONE = (("carcinoma",), ("tumor",), ("cancer",), ("neoplasm",))  # how many tumors there are is not measured
_SEVERAL = "mqM"  # kinds of which a phrase may have several values
_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


class CellGroup(NamedTuple):
    """Cells of some classes: `members` are their names, `everything` means all, whatever their class."""

    members: tuple[str, ...]
    name: str
    nuclei: bool = False
    place: str | None = None
    everything: bool = False

    def at(self, place: str | None) -> "CellGroup":
        """Return them in a tissue."""
        return self._replace(place=place)


@cache
def vocabulary() -> Mapping[str, Any]:
    """Return the tables of `vocabulary.toml`."""
    return tomllib.loads(
        files("histome.narrative.language").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    )


@cache
def phrases(subject: str) -> tuple[Mapping[tuple[str, ...], Kinds], int]:
    """Return each phrase as a tuple of words with its kinds, and the most words in one."""
    found: dict[tuple[str, ...], Kinds] = {}
    for source in (_cells, _places, _verbs, _words, _measures, _comparisons, _states, _amounts, _numbers):
        for phrase, kind, value in source(subject):
            words = tuple(phrase.replace("-", " ").replace("/", " ").split())
            for form in _forms(words, kind):
                kinds = found.setdefault(form, {})
                kinds[kind] = (
                    (*kinds[kind], *value) if kind in _SEVERAL and kind in kinds else kinds.get(kind, value)
                )
    return found, max(map(len, found))


def _forms(words: tuple[str, ...], kind: str) -> Iterator[tuple[str, ...]]:
    """Yield a phrase, and with a noun at its end its plural."""
    yield words
    if kind == "T" and words in _ONE:
        return
    *before, last = words
    if kind in _NOUNS or kind in "HJ":
        yield (*before, plural(last))
        if "of" in words and words.index("of"):
            at = words.index("of") - 1
            yield (*words[:at], plural(words[at]), *words[at + 1 :])
            yield (*words[:at], plural(words[at]), *words[at + 1 : -1], plural(last))


Entries = Iterator[tuple[str, str, Any]]


def _cells(subject: str) -> Entries:
    for name, words in vocabulary()["cells"][subject].items():
        cells = CellGroup(_GROUPS.get(name, (name,)), name)
        if subject == "patch" and name == "immune":
            continue
        for noun in words.get("alone", ()):
            yield noun, "E", cells
        for noun in words["before"]:
            for body in ("cell", "population", "cell population", "cell fraction", *_LABELS, *_BODIES):
                if subject == "patch" or name != "carcinoma_cell" or body not in _BODIES:
                    yield f"{noun} {body}", "E", cells
            if name in _IMMUNE:
                yield f"{noun} infiltrate", "E", cells
                yield f"{noun} infiltration", "E", cells
            for body in ("nucleus", "cell nucleus"):
                yield f"{noun} {body}", "E", cells._replace(nuclei=True)
    if subject == "slide":
        tils = CellGroup(_GROUPS["lymphoid"], "til")
        for noun in ("til", "tumor infiltrating lymphocyte"):
            yield noun, "E", tils
    for noun in vocabulary()["words"]["whole"]:
        yield noun, "W", CellGroup((), "all", everything=True)


def _places(subject: str) -> Entries:
    if subject == "slide":
        for name, words in vocabulary()["tissues"]["slide"].items():
            for noun in words:
                yield noun, "T", name
        for name, words in vocabulary()["placing"].items():
            for adjective in words:
                yield adjective, "J", name
    for word, metric in vocabulary()["tiles"].items():
        phrase = word.replace("_", " ")
        yield phrase, "!", metric
        for after in vocabulary()["tile_words"]["after"]:
            yield f"{phrase} {after}", "!", metric
            yield f"{phrase} {plural(after)}", "!", metric


def _verbs(subject: str) -> Entries:
    """Yield verbs in all their forms, with what they say beside what they join as their value."""
    verbs = vocabulary()["verbs"]
    for said in ("seen", "holds", "into", "plain", "names", "varies"):
        kind = "i" if said == "into" else "v"
        for phrase in verbs["fixed"].get(said, ()):
            yield phrase, kind, said
        for verb in verbs[said]:
            for form in verb_forms(verb, verbs["irregular"]):
                finite = kind == "i" and " " not in form and not form.endswith("ing")
                yield form, kind, "lies" if finite else said
                yield f"{form} that", "v", said
                yield f"{form} that", "&", said
                if " " not in verb and form != verb and not form.endswith(("s", "ing")):
                    for link in ("by",) if said == "seen" and verb not in _NAMING else ("as", "by"):
                        yield f"{form} {link}", "v", said if link == "as" else "holds"
                        if link == "by":
                            yield f"{form} by", "by", True


def _words(subject: str) -> Entries:
    words = vocabulary()["words"]
    for section, kind in _PLAIN.items():
        for phrase in words[section]:
            if (subject, phrase, kind) != ("slide", "tile", "S"):
                yield phrase, kind, phrase
    for phrase in words["given_to"]:
        yield phrase, "v", "plain"
        yield phrase, "by", True
    for word in words["only"]:
        yield word, "_", word
    if subject == "slide":
        yield "tile", "I", "tile"
    for aspect, names in vocabulary()["aspects"].items():
        for name in names:
            yield name, "n", aspect
    for word in words["second_to"]:
        yield word, "U", "second"
    for word in words["ahead"]:
        yield word, "V", "ahead"
    for word in ("rather than", "instead of", "rather than being", "instead of being"):
        yield word, "7", word
    for word in words["steadily"]:
        yield word, "9", word
    for verb in words["rises"]:
        yield verb, "G", 1
    for verb in words["falls"]:
        yield verb, "G", -1
    for word in ("median", "mean", "average", "typical"):
        yield word, "_", word
        yield word, "5", word
    for word in ("nearest", "closest"):
        yield word, "0", word
    yield "away", "_", "away"
    yield "between", "2", "between"
    for word in ("between them", "between the two of them"):
        yield word, "2", "together"
    for word in ("single", "one single", "a single"):
        yield word, "#", 1.0
    for word in ("times", "fold", "x", "\u00d7"):
        yield word, "@", word


def _measures(subject: str) -> Entries:
    for name, words in vocabulary()["measures"].items():
        for phrase in words:
            yield phrase, "M", (name,)


def _comparisons(subject: str) -> Entries:
    words = vocabulary()
    for name, adjectives in words["gradable"].items():
        for word in adjectives:
            yield word, "q", (name,)
    for direction, sign in (("more", 1), ("less", -1)):
        for name, adjectives in words["comparatives"][direction].items():
            for word in adjectives:
                yield word, "m", ((name, sign),)
        for word in words["outnumbering"][direction]:
            yield word, "x", sign
    for word, place in _ranks(words["ranks"]):
        yield word, "k", place
    for word in words["ranks"]["densest"]:
        yield word, "n", "density"
    for place, word in enumerate(words["ranks"]["ordinals"], start=1):
        yield word, "1", place
    for word, place in words["ranking"]["ordinals"].items():
        yield word, "1", place
    for word in words["ranking"]["verbs"]:
        yield word, "r", word


def _ranks(ranks: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield "third place", "rank 3", "third most common", "second rarest", with the place."""
    for place, ordinal in enumerate(ranks["ordinals"], start=1):
        yield from ((phrase.format(ordinal), place) for phrase in ranks["placed"])
        yield from ((phrase.format(place), place) for phrase in ranks["numbered"])
        before = "" if place == 1 else f"{ordinal} "
        yield from ((before + best, place) for best in (*ranks["most"], *ranks["densest"]))
        yield from ((before + least, -place) for least in ranks["least"])
    yield from ((f"next {best}", 2) for best in ranks["most"])
    for place, words in ranks["phrases"].items():
        yield from ((word, int(place)) for word in words)


def _states(subject: str) -> Entries:
    words = vocabulary()
    for pattern in ("clustered", "random", "even"):
        for word in words["patterns"][pattern]:
            yield word, "c", pattern
    for doing, kind in (("abstained", "3"), ("valid", "4"), ("other", "6"), ("rest", "8")):
        for word in words["doings"][doing]:
            yield word, kind, word
    for word in words["patterns"]["arrangement"]:
        yield word, "j", word
    for label, labels in words["phenotypes"].items():
        for word in labels if subject == "patch" or label != "Restricted to stroma" else ():
            yield word, "H", label
    for word in words["phenotype_words"]["about"]:
        yield word, "P", word
    for word in words["phenotype_words"]["rather"]:
        yield word, "_", word


def _amounts(subject: str) -> Entries:
    tables = amount_words()
    for name, rule in tables["hedges"].items():
        for word in rule["words"]:
            yield word, "~", name
    for section, kind in (
        ("shares", "sw"),
        ("adjectives", "A"),
        ("adverbs", "O"),
        ("numbers", "nw"),
        ("degrees", "y"),
    ):
        for name, rule in tables[section].items():
            for word in rule["words"]:
                yield word, kind, word_amount(section, name)  # type: ignore[arg-type]
                if kind == "A" and " " not in word:  # "present in negligible number"
                    for noun in ("number", "numbers", "quantity", "amounts"):
                        yield f"in {word} {noun}", kind, word_amount(section, name)  # type: ignore[arg-type]
    for value, words in tables["factors"].items():
        for word in words:
            yield word, "*", float(value)
    for value, words in tables["fractions"].items():
        for word in words:
            yield word, "%", float(value)
            if " " not in word and word != "half":
                yield f"{word}s", "%", float(value)


def _numbers(subject: str) -> Entries:
    for value, word in enumerate(_NUMBERS):
        yield word, "#", float(value)
    for ten, word in enumerate(_TENS, start=2):
        yield word, "#", 10.0 * ten
        for one in range(1, 10):
            yield f"{word} {_NUMBERS[one]}", "#", 10.0 * ten + one
    for word, value in (("dozen", 12.0), ("hundred", 100.0), ("thousand", 1e3), ("million", 1e6)):
        yield word, "^", value
