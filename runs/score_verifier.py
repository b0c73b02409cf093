"""The verifier on sentences that people wrote: the table of docs/concepts.md, by category.

`python runs/score_verifier.py [development | test]`; the sentences are in tests/narrative/sentences,
true or false of a profile drawn in tests/helpers/drawn_profiles.py. `test` has other ways of putting things
than `development`, after which the grammar was written. Lots that nobody has looked at are a part of their
own until the grammar is widened after them.
"""

import re
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from helpers.drawn_profiles import facts_of  # noqa: E402

from histome.narrative import verify  # noqa: E402

STATES = ("supported", "contradicted", "not checkable")


def main(part: str) -> None:
    """Print the table of one part."""
    counts: dict[tuple[bool, str], Counter[str]] = {}
    category = ""
    for line in (TESTS / "narrative" / "sentences" / f"{part}.txt").read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[.+: (.+)\]", line):
            category = head[1]
        elif found := re.fullmatch(r"([A-F]) ([TF]) (.+)", line):
            (checked,) = verify(found[3], facts_of(found[1])).sentences
            for name in (category, "all"):
                counts.setdefault((found[2] == "T", name), Counter())[checked.state] += 1
    print("| truth | category | n | supported | contradicted | not checkable |\n|---|---|---|---|---|---|")
    for true in (True, False):
        for name in sorted(
            (name for truth, name in counts if truth == true), key=lambda name: (name == "all", name)
        ):
            row = counts[true, name]
            cells = " | ".join(str(row[state]) for state in STATES)
            print(f"| {'true' if true else 'false'} | {name} | {row.total()} | {cells} |")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "test")
