"""Names made fit to be shown, to be names of folders, and to be told apart."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# What a terminal, a log, JSON or a file system acts on instead of showing it: control characters, ends of
# lines, marks that turn the direction of text, and bytes that are no UTF-8 (Python holds them as surrogates).
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, *, keep: str = "") -> str:
    """Return a text with each of its unfit characters but those of `keep` written as %1B.

    After the sign stand the character's bytes in UTF-8, or the byte that is none.
    """
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def spreadsheet_text(text: str) -> str:
    """Return a text that a spreadsheet shows and does not run as a formula."""
    fit = shown(text)
    return f"'{fit}" if fit[:1] in ("=", "+", "-", "@") else fit


def _escape(character: str) -> str:
    # The surrogates from U+DC80 on are Python's for single bytes; others are text that is broken itself.
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", errors))


def slide_id(path: Path) -> str:
    """Return what a slide and its profile's folder are called: the file's name without its ending.

    Never a name that leads elsewhere: `...svs` is `%2E%2E`.
    """
    stem = shown(path.stem)
    return stem if stem.strip(".") else stem.replace(".", "%2E")


def numbered(titles: Sequence[str]) -> list[str]:
    """Number equal titles, by numbers that no other title has."""
    times, taken, found = Counter(titles), set(titles), []
    for title in titles:
        name, number = title, 0
        while times[title] > 1 and name in taken:
            number += 1
            name = f"{title} {number}"
        taken.add(name)
        found.append(name)
    return found
