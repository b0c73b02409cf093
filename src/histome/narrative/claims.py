"""Reading a text: its sentences, and in each the numbers with their units, the classes and the phenotypes."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from histome.classes import CELL_CLASSES

_ABBREVIATION = re.compile(r"\b(?:approx|ca|vs|e\.g|i\.e|resp|cf|no|fig)\.$", re.I)
_SPACES = "\u202f\u00a0\u2009"
NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>(?<![\w)])[-\u2212])?(?P<digits>\d+(?:[,{_SPACES}]\d{{3}})+(?!\d)|\d+)(?P<decimals>\.\d+)?"
    r"(?:\s?[x\u00d7]\s?10(?P<power>[\u207b\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)|[eE](?P<exponent>[-+]?\d+))?"
)
_DIGITS_UP = str.maketrans(
    "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "-0123456789"
)
_WORDS = dict(
    zip(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(2, 13),
        strict=True,
    )
)
WORD_NUMBER = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b(?!-)", re.I)
_MICRO = r"(?:\u00b5|\u03bc|u)m"
# Printed unit -> (dimension, factor to its base); the first that matches wins.
_UNITS: tuple[tuple[str, str, float], ...] = (
    (r"%|per ?cent\b|percent\b", "share", 0.01),
    (rf"(?:cells?|nuclei)?\s?(?:/|per\s){_MICRO}(?:\u00b2|\^?2)|per square micro\w+", "density", 1e6),
    (r"(?:cells?|nuclei)?\s?(?:/|per\s)mm(?:\u00b2|\^?2)|(?:cells? )?per square milli\w+", "density", 1.0),
    (r"mm(?:/| per )mm(?:\u00b2|\^?2)", "border density", 1.0),
    (rf"{_MICRO}(?:\u00b2|\^?2)|square micro\w+", "area", 1.0),
    (r"mm(?:\u00b2|\^?2)|square milli\w+", "area", 1e6),
    (r"px(?:\u00b2|\^?2)|pixels?(?:\u00b2|\^2)|square pixels?", "pixel area", 1.0),
    (rf"{_MICRO}\b|micro(?:n|meter|metre)s?\b", "length", 1.0),
    (r"mm\b|milli(?:meter|metre)s?\b", "length", 1e3),
    (r"px\b|pixels?\b", "pixel length", 1.0),
    (r"bits?\b", "bits", 1.0),
    (r"OD\b", "OD", 1.0),
)
_UNIT = re.compile("|".join(f"(?P<u{k}>{pattern})" for k, (pattern, _, _) in enumerate(_UNITS)), re.I)

_PATCH_TERMS = {
    "Epithelial": r"(?:non-?neoplastic|benign|normal|healthy) epitheli\w+(?: cells?)?|epithelial(?: cells?)?",
    "Neoplastic": r"neoplastic(?: cells?)?|(?:tumou?r|malignant|cancer|carcinoma)(?: cells?)?",
    "Inflammatory": r"inflammatory(?: cells?)?|immune(?: cells?)?",
    "Connective": r"connective(?:[- ]tissue)?(?: cells?)?|stromal?(?: cells?)?",
    "Dead": r"dead(?: cells?)?",
    "infiltration": r"infiltrat\w+",
    "engaged": r"engag\w+|in contact\b",
    "entropy": r"entropy",
    "average": r"mean|average|on average",
    "least": r"minimum|minimal|least|closest|shortest|smallest",
}
_SLIDE_TERMS = {
    "til": r"TILs?\b|tumou?r[- ]infiltrating lymphocytes",
    "aggregate": r"lymphoid aggregates?",
    "carcinoma_cell": r"(?:carcinoma|tumou?r|malignant|neoplastic|cancer)[- ](?:cells?|nuclei|nucleus)",
    "endothelial_cell": r"endothelial(?: cells?)?",
    "epithelial_cell": r"(?:normal |benign )?epithelial (?:cells?|nuclei)",
    "fibroblast": r"fibroblasts?",
    "granulocyte": r"granulocytes?",
    "lymphocyte": r"lymphocytes?|lymphocytic",
    "macrophage": r"macrophages?",
    "other": r"other (?:cells?|tissue)|cells of other kinds?",
    "plasma_cell": r"plasma cells?",
    "immune": r"immune cells?|inflammatory cells?|leu[ck]ocytes?",
    "inflamed": r"(?:immune[- ])?inflamed",
    "excluded": r"(?:immune[- ])?excluded",
    "desert": r"(?:immune )?desert",
    "OUTER_INVASIVE_MARGIN": r"outer (?:invasive )?margin",
    "INNER_INVASIVE_MARGIN": r"inner (?:invasive )?margin",
    "TUMOR_CORE": r"tumou?r core|\bcore\b",
    "VALID_TISSUE": r"valid tissue|quality control",
    "CARCINOMA": r"carcinoma|tumou?r",
    "EPITHELIAL_TISSUE": r"normal epithelium",
    "NECROSIS": r"necrosis|necrotic",
    "STROMA": r"stromal?",
    "BLOOD": r"blood",
    "VESSEL": r"vessels?",
}
# Cells that H&E classes here do not tell apart: naming one is an invention.
_STRANGERS = {
    "patch": r"lymphocyt\w+|plasma cells?|macrophages?|histiocytes?|granulocytes?|fibroblasts?|"
    r"endothelial cells?|",
    "slide": r"histiocytes?|",
}
_ALWAYS_STRANGE = (
    r"neutrophils?|eosinophils?|mast cells?|dendritic cells?|myofibroblasts?|"
    r"(?:regulatory )?[TB][- ]?(?:cells?|lymphocytes?)|NK cells?|M[12] macrophages?|monocytes?"
)
CELL_TERMS = {
    "patch": ("Epithelial", "Neoplastic", "Inflammatory", "Connective", "Dead"),
    # "other" is a word of every text.
    "slide": tuple(name for name in CELL_CLASSES if name != "other"),
}
PLACES = (
    *("OUTER_INVASIVE_MARGIN", "INNER_INVASIVE_MARGIN", "TUMOR_CORE"),
    *("CARCINOMA", "EPITHELIAL_TISSUE", "NECROSIS", "STROMA", "BLOOD", "VESSEL"),
)

# Phrase -> the labels and tokens that allow it; the longest phrase at a place is read.
PHENOTYPES: Mapping[str, tuple[str, ...]] = {
    r"high tumou?r purity": ("High Tumour Purity",),
    r"tumou?r purity is high": ("High Tumour Purity",),
    r"low tumou?r purity": ("Low Tumour Purity",),
    r"tumou?r purity is low": ("Low Tumour Purity",),
    r"solid tumou?r nests?": ("Solid tumour nest",),
    r"hypercellular\w*": ("Hypercellular",),
    r"immune[- ]dominant": ("Immune-dominant",),
    r"lymphocyte[- ]rich": ("Lymphocyte-rich",),
    r"stroma[- ]dominant": ("Stroma-dominant",),
    r"immune[- ]hot|immunologically hot|(?:immune )?hot (?:phenotype|tumou?r)": ("Immune Hot",),
    r"heav(?:y|ily) (?:immune |inflammatory )?infiltrat\w+": ("Heavy infiltrate",),
    r"immune[- ]cold|immunologically cold|(?:immune )?cold (?:phenotype|tumou?r)": ("Immune Cold",),
    r"immune[- ]deserts?|desert phenotype": ("Immune desert", "Immune Desert"),
    r"pauci-?immune": ("Pauci-immune",),
    r"patchy (?:immune |inflammatory )?infiltrat\w+": ("Patchy infiltrate",),
    r"moderate(?:ly)? (?:immune |inflammatory )?infiltrat\w+": ("Moderate",),
    r"immune[- ]inflamed|inflamed phenotype": ("Immune Inflamed",),
    r"non-?desmoplastic": ("Non-desmoplastic",),
    r"desmoplas\w+": ("Desmoplastic",),
    r"fibrotic barrier": ("Fibrotic barrier",),
    r"stroma[- ]free|free of stroma": ("Stroma-Free",),
    r"lack of fibrosis|no fibrosis": ("Lack of fibrosis",),
    r"stroma[- ]rich": ("Stroma-rich",),
    r"stroma[- ]poor": ("Stroma-poor",),
    r"direct contact": ("Direct Contact",),
    r"juxtaposed(?: cells)?": ("Juxtaposed cells",),
    r"immune[- ]exclu(?:sion|ded)|excluded phenotype|excluded from the tumou?r": (
        "Immune exclusion",
        "Excluded",
        "Immune Excluded",
    ),
    r"restricted to (?:the )?stroma": ("Restricted to stroma",),
    r"peri-?tumou?ral": ("Peritumoral",),
    r"\bproximal\b": ("Proximal",),
    r"bystander(?: immune cells)?": ("Bystander immune cells",),
    r"highly mixed": ("Highly Mixed",),
    r"diffuse(?:ly)? integrat\w+": ("Diffuse integration",),
    r"segregated": ("Segregated",),
    r"homogeneous": ("Homogeneous",),
    r"compartmentali[sz]ed": ("Compartmentalized",),
    r"large/pleomorphic|pleomorphi\w+": ("Large/Pleomorphic",),
    r"nuclear enlargement|enlarged nuclei": ("Nuclear enlargement",),
    r"aniso(?:cytosis|karyosis|nucleosis)": ("Anisocytosis",),
    r"small/monotonous|monotonous": ("Small/Monotonous",),
    r"small[- ]cell morphology": ("Small cell morphology",),
    r"clustered lymphocytes": ("Clustered lymphocytes",),
}
# What neither route measures; only a few of them are metrics of a slide.
FINDINGS = {
    "necrosis": r"necrosis|necrotic",
    "blood": r"h(?:a?em)orrhag\w+",
    "vessels": r"vascular\w*|angiogenesis|vessels?",
    "lymphoid aggregates": r"lymphoid (?:aggregat|follicl)\w+|tertiary lymphoid structures?|germinal cent\w+",
    "mitoses": r"mitos[ei]s|mitotic\w*",
    "invasion": r"(?:perineural|lymphovascular|vascular) invasion|tumou?r budding|metasta\w+",
    "marker": r"\bCD\d+\w*|PD-?L?1|Ki-?67|HER-?2|\bp53\b|\bER\b|\bPR\b|\bMSI\b|\bTMB\b|FoxP3",
    "feature": r"granuloma\w*|calcifi\w+|keratini[sz]\w+|mucin\w*|signet\w*|psammoma\w*|"
    r"gland(?:s|ular)\b|fibrosis",
}
CLINICAL = re.compile(
    r"\b(?:prognos\w+|surviv\w+|therap\w+|treat\w+|immunotherap\w+|chemotherap\w+|recommend\w*|diagnos\w+|"
    r"patients?|clinical\w*|grade\w*|stage [IVX\d]+|respon[ds]\w* to|benefit\w*|risk)\b",
    re.I,
)
NEGATION = re.compile(
    r"\b(?:no|not|none|neither|nor|never|absent|absence|without|lack\w*|devoid|zero|missing|"
    r"(?<![\d.,])0(?![.,]?\d))\b(?! only)",
    re.I,
)
VAGUE = re.compile(
    r"\b(?:hardly|scarce\w*|rare\w*|sparse\w*|few|abundan\w*|numerous|dense\w*|many|extensive\w*|all but)\b",
    re.I,
)
DOMINANCE = re.compile(
    r"\b(?:pre)?dominat\w+|\bpredominan\w+|\bprevail\w*|\bmost (?:frequent|common|abundant|numerous)\b|"
    r"\bmajority\b|\boutnumber\w*",
    re.I,
)
COMPARISON = re.compile(
    r"\b(?:(?P<more>more|denser|higher|larger|greater|farther|richer)|(?P<less>fewer|lower|smaller|less|sparser|nearer))"
    r"\b(?=.*\bthan\b)",
    re.I,
)
# Sentences about the model: naming a class there does not say that it is present.
ABOUT_MODEL = re.compile(
    r"\b(?:model|labels?|learned|trained|training|never saw|abstain\w*|classed|named)\b", re.I
)
_PATTERNS = {
    name: [(term, re.compile(rf"\b(?:{pattern})", re.I)) for term, pattern in terms.items()]
    for name, terms in (
        ("patch", _PATCH_TERMS),
        ("slide", _SLIDE_TERMS),
        ("phenotypes", {pattern: pattern for pattern in PHENOTYPES}),
        ("findings", FINDINGS),
    )
}
_STRANGE = {kind: re.compile(rf"\b(?:{own}{_ALWAYS_STRANGE})\b", re.I) for kind, own in _STRANGERS.items()}


class Number(NamedTuple):
    """A number as printed: its place in the sentence, its value, half a unit of its last digit, its unit."""

    start: int
    end: int
    value: float
    half_digit: float
    dimension: str | None
    factor: float


class Mention(NamedTuple):
    """A term of the vocabulary at a place of the sentence."""

    start: int
    end: int
    term: str


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text; a decimal point or an abbreviation ends none, a line break does."""
    found: list[str] = []
    for line in text.splitlines():
        start = 0
        for end in re.finditer(r"[.!?][\"')\]]*\s+(?=[\"'(\[*]*[A-Z\d])", line):
            if not _ABBREVIATION.search(line[start : end.start() + 1]):
                found.append(line[start : end.end()])
                start = end.end()
        found.append(line[start:])
    stripped = (re.sub(r"^[\s*#>\-\u2022]+(?=\D)", "", sentence).strip() for sentence in found)
    return [sentence for sentence in stripped if re.search(r"\w", sentence)]


def find_numbers(sentence: str) -> list[Number]:
    """Return the numbers of a sentence, in digits and in words."""
    found = [_number(sentence, match) for match in NUMBER.finditer(sentence)]
    for match in WORD_NUMBER.finditer(sentence):
        found.append(_with_unit(sentence, match.start(), match.end(), float(_WORDS[match[0].lower()]), 0.5))
    return sorted(found)


def _number(sentence: str, match: re.Match[str]) -> Number:
    digits = re.sub(rf"[,{_SPACES}]", "", match["digits"])
    decimals = match["decimals"] or ""
    power = int((match["power"] or match["exponent"] or "0").translate(_DIGITS_UP))
    value = float(f"{digits}{decimals}") * 10.0**power * (-1 if match["sign"] else 1)
    half = 0.5 * 10.0 ** (power - max(0, len(decimals) - 1))
    return _with_unit(sentence, match.start(), match.end(), value, half)


def _with_unit(sentence: str, start: int, end: int, value: float, half: float) -> Number:
    space = re.compile(rf"[\s{_SPACES}-]*").match(sentence, end)
    unit = _UNIT.match(sentence, space.end() if space else end)
    if unit is None or unit.end() == unit.start():
        return Number(start, end, value, half, None, 1.0)
    which = next(k for k in range(len(_UNITS)) if unit[f"u{k}"])
    _, dimension, factor = _UNITS[which]
    return Number(start, unit.end(), value, half, dimension, factor)


def find_mentions(sentence: str, kind: str) -> list[Mention]:
    """Return the classes, tissues and words for a quantity that a sentence names."""
    return _matches(sentence, _PATTERNS[kind])


def find_strangers(sentence: str, kind: str) -> list[Mention]:
    """Return the cells that it names and that this kind of facts has no class for."""
    return [Mention(match.start(), match.end(), match[0]) for match in _STRANGE[kind].finditer(sentence)]


def find_phenotypes(sentence: str) -> list[Mention]:
    """Return the phenotype phrases of a sentence; `term` is the pattern, a key of `PHENOTYPES`."""
    return _matches(sentence, _PATTERNS["phenotypes"])


def find_findings(sentence: str) -> list[Mention]:
    """Return the histological findings that a sentence names."""
    return _matches(sentence, _PATTERNS["findings"])


def masked(sentence: str, mentions: list[Mention]) -> str:
    """Return the sentence with blanks in place of the mentions: places stay what they are."""
    for start, end, _ in mentions:
        sentence = sentence[:start] + " " * (end - start) + sentence[end:]
    return sentence


def _matches(sentence: str, patterns: list[tuple[str, re.Pattern[str]]]) -> list[Mention]:
    """Return matches that do not overlap, the longest of those that do."""
    every = [
        Mention(m.start(), m.end(), term) for term, pattern in patterns for m in pattern.finditer(sentence)
    ]
    kept: list[Mention] = []
    for mention in sorted(every, key=lambda m: (m.start - m.end, m.start)):
        if all(mention.end <= other.start or mention.start >= other.end for other in kept):
            kept.append(mention)
    return sorted(kept)


def split_chunks(sentence: str, numbers: list[Number]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the parts of a sentence between which a number does not look for its subject.

    A part ends at a semicolon, and at a comma, colon or conjunction with a number on each side; never within
    brackets.
    """
    cuts = [
        match.start()
        for match in re.finditer(
            r"[,;:](?=\s)|\b(?:and|while|whereas|but|versus|vs|against|compared|than)\b", sentence
        )
        if sentence.count("(", 0, match.start()) == sentence.count(")", 0, match.start())
    ]
    start = 0
    for cut in cuts:
        sides = any(start <= n.start < cut for n in numbers), any(n.start >= cut for n in numbers)
        if all(sides) or sentence[cut] == ";":
            yield start, cut
            start = cut
    yield start, len(sentence)
