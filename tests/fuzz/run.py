"""Damage slides by the thousand and look whether anything but one clear line comes of it.

    python tests/fuzz/run.py --count 5000            # the table of docs/design/damaged-slides.md
    python tests/fuzz/run.py --only 1234 -o folder   # that mutant as a file, and what came of it

The same seed gives the same mutants. Exit code 1 where one ended badly; those are kept in the folder of `-o`.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.bombs import BOMBS
from fuzz.mutate import mutant
from fuzz.watch import BAD, Seen, Watched

OUTCOMES = ("refused", "read", "broken tiles", *BAD)


class Case(NamedTuple):
    """One file that was looked at."""

    kind: str
    name: str
    done: str
    seen: Seen


def mutants(numbers: Iterable[int], *, seed: int, keep: Path | None = None) -> Iterator[Case]:
    """Yield what came of each mutant; bad ones are copied to `keep`."""
    with Watched() as watched:
        for number in numbers:
            with tempfile.TemporaryDirectory() as folder:
                one = mutant(number, seed=seed)
                seen = watched.look(one.write(Path(folder)))
                if keep and seen.outcome in BAD:
                    shutil.copytree(folder, keep / str(number), dirs_exist_ok=True)
            yield Case(one.container, str(number), one.done, seen)


def bombs() -> Iterator[Case]:
    """Yield what came of each bomb."""
    with Watched() as watched:
        for name, write in BOMBS.items():
            with tempfile.TemporaryDirectory() as folder:
                seen = watched.look(write(Path(folder)))
            yield Case("bombs", name, name, seen)


def table(cases: list[Case]) -> str:
    """Return the counts by container as Markdown."""
    groups: dict[str, list[Seen]] = defaultdict(list)
    for case in cases:
        groups[case.kind].append(case.seen)
    if len(cases) > len(groups.get("bombs", ())):
        groups["all mutants"] = [case.seen for case in cases if case.kind != "bombs"]
    head = ["container", "files", *OUTCOMES, "most CPU, s", "largest growth, MB"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for kind, seen in groups.items():
        counts = Counter(one.outcome for one in seen)
        cells = [kind, len(seen), *(counts[outcome] for outcome in OUTCOMES)]
        cells += [f"{max(one.seconds for one in seen):.1f}", round(max(one.grown for one in seen) / 1e6)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--no-bombs", action="store_true")
    parser.add_argument("-o", type=Path, dest="out")
    options = parser.parse_args()
    if options.only is not None:
        folder = options.out or Path(tempfile.mkdtemp())
        path = mutant(options.only, seed=options.seed).write(folder)
        with Watched() as watched:
            print(path, watched.look(path))
        return 0
    begun, cases = time.perf_counter(), []
    numbers = range(options.first, options.first + options.count)
    for case in mutants(numbers, seed=options.seed, keep=options.out):
        cases.append(case)
        if case.seen.outcome in BAD:
            print(case, flush=True)
        if len(cases) % 500 == 0:
            print(f"{len(cases)} mutants, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    cases += [] if options.no_bombs else bombs()
    print(table(cases))
    return int(any(case.seen.outcome in BAD for case in cases))


if __name__ == "__main__":
    sys.exit(main())
