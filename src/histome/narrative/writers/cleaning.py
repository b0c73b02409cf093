"""A language model's text without what is no sentence: its thoughts, wrappers, headings and marks.

Nothing goes that says something of a slide: what stands before a colon or on a line of its own goes where
all its words are of a closed list, and what a JSON object holds stays, key and value.
"""

import json
import re

from histome.narrative.writers.language_models import WriterError

MOST_CHARACTERS = 20_000  # of a text; a longer one is no narrative
# Groups stand for the end of a thought. "assistantfinal" is what is left of marks that a tokenizer skips.
_THOUGHT = re.compile(
    r"<(/)?(?:think|thinking|reasoning|analysis)>"
    r"|<\|channel\|>\s*(?:(final)|analysis|commentary)|(assistantfinal)",
    re.I,
)
_WRAPPING = re.compile(
    r"<\|(?:start\|>assistant|\w{1,20}\|>)|</?(?:answer|final|narrative|output|response)>"
    r"|```(?:(?:json|markdown|md|plaintext|text|txt)\b)?",
    re.I,
)
_EMPHASES = [
    re.compile(
        rf"(?<![\w{mark}]){mark}{{1,3}}(?=[^\s{mark}])([^{mark}\n]+)(?<=\S){mark}{{1,3}}(?![\w{mark}])"
    )
    for mark in (r"\*", "_", "`")
]
_ITEM = r"(?:[-*+\u2022]|\d{1,2}[.)]|#{1,6})\s+"
# A sentence that begins in lower case. Words of two letters are abbreviations, and so are some longer ones.
_GLUED = re.compile(
    r"(?:(?<=[^\W\d_]{3})|(?<=[\d%)\]\u00b2]))(?<!approx)(?<!incl)(?<!excl)(?<!resp)(?<!pct)(?<!fig)"
    r"[.!?][\"')\]]*[^\S\n]+[a-z]"
)
_NOUNS = (
    "analysis|answer|architecture|assessment|characteristics|composition|conclusions?|context|description|features"
    "|findings|interactions|interpretation|landscape|microenvironment|morphology|narrative|observations"
    "|organi[sz]ation|output|overview|paragraph|profile|report|response|sentences|summary|text|tme|version"
)
_FILLERS = (
    "an?|and|as|based|biological|brief|cell(?:ular)?|checked|clinical|concise|corrected|data|describing|final"
    "|for|from|given|here|histologic(?:al)?|image|in|input|json|key|labels|left|main|measured|my|nuclear|of|on"
    "|only|out|overall|patch|pathology|provided|removed|requested|revised|rewritten|short|slide|spatial"
    "|statements|summarizing|supported|the|this|tissue|tokens|tumou?r(?:\\s+immune)?\\s+microenvironment"
    "|unsupported|updated|using|values|with|written|you|your"
)
_GAP = r"[\s,&/()'\"\u2019\u2013\u2014-]"
_YES = r"(?:sure|certainly|of\s+course|okay|ok|absolutely)"
_PREAMBLE = (
    rf"(?:{_YES}\b{_GAP}+)?(?:here(?:\s+(?:is|are)|['\u2019]s)|below\s+is|(?:the\s+following|this)\s+is)\b"
    rf"(?:{_GAP}+(?:{_FILLERS}|{_NOUNS})\b)*"
)


def _titled(words: str) -> str:
    """Return the pattern of words that end in one for a text or what it is of."""
    return rf"(?:(?:{words}|{_NOUNS})\b{_GAP}+)*(?:{_NOUNS})\b"


_START = re.compile(
    rf"(?:{_ITEM}|{_YES}[!.:]\s*|(?:{_PREAMBLE}|{_titled(_FILLERS)}){_GAP}*:(?!\d)\s*)*", re.I
)
# Of a line of its own no scope is lost: "Stromal features: no necrosis" is not "No necrosis".
_HEADING = re.compile(
    rf"(?:{_PREAMBLE}|{_titled(f'{_FILLERS}|immune|stroma|stromal|tumou?r')}){_GAP}*[.:!]?", re.I
)


def cleaned(text: str) -> str:
    """Return a model's text as plain lines, without code points that no file can hold; in linear time.

    Raises WriterError for a text that is too long to be a narrative, and for an unfinished thought alone.
    """
    text = _without_thoughts(text)
    if len(text) > MOST_CHARACTERS:
        raise WriterError(f"the text has {len(text)} characters, {MOST_CHARACTERS} are read")
    text = _unwrapped(_WRAPPING.sub("\n", text))
    for emphasis in _EMPHASES:
        text = emphasis.sub(r"\1", text)
    text = "\n".join(filter(None, map(_line, text.splitlines())))
    return _GLUED.sub(lambda found: found[0].upper(), text).encode("utf-8", "replace").decode("utf-8")


def _without_thoughts(text: str) -> str:
    kept, at, thinking = [], 0, False
    for tag in _THOUGHT.finditer(text):
        ends = any(tag.groups())
        if ends and not thinking:  # the answer began with a thought
            kept = []
        elif not thinking:
            kept.append(text[at : tag.start()])
        at, thinking = tag.end(), not ends
    answer = " ".join(kept if thinking else [*kept, text[at:]]).strip()
    if thinking and not answer:
        raise WriterError(
            "it was still thinking where its text ends, as a rule at max_tokens: raise narrative.max_tokens"
        )
    return answer


def _unwrapped(text: str) -> str:
    """Return a text with the JSON object in it, if any, as lines of key and value, all of them."""
    start, end = text.find("{"), text.rfind("}") + 1
    try:
        # As pairs: of a key that comes twice a dictionary holds the last value alone.
        pairs = json.loads(text[start:end], object_pairs_hook=list, strict=False)
    except (ValueError, RecursionError):
        return text
    lines = [
        f"{key.replace('_', ' ')}: " + ("\n".join(map(str, value)) if isinstance(value, list) else str(value))
        for key, value in pairs
    ]
    return "\n".join([text[:start], *lines, text[end:]])


def _line(line: str) -> str:
    """Return a line without marks of lists and headings and without labels; empty where it is a heading."""
    line = line.strip()
    start = _START.match(line)
    rest = line[start.end() :] if start else line
    if _HEADING.fullmatch(rest):
        return ""
    return line if rest == line else rest[:1].upper() + rest[1:]
