"""Two hundred damaged slides and the bombs: one clear line or pixels, within bounds. `run.py` makes more."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.bombs import BOMBS
from fuzz.mutate import mutant
from fuzz.run import mutants, table
from fuzz.seeds import seeds
from fuzz.watch import BAD, Watched

SEED, COUNT = 0, 200
# Opens as whatever the first letter of the file's name says.
ACTOR = """
import os, sys
print('["ready", ""]', flush=True)
for line in sys.stdin:
    act = line.strip('"\\n').rpartition("/")[2]
    if act == "crash": os.abort()
    if act == "leave": sys.exit(3)
    if act == "hang":
        while True: pass
    if act == "memory": kept = bytearray(400_000_000)
    if act == "peak": bytearray(b"x") * 400_000_000
    print('["read", ""]', flush=True)
"""


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched() as one:
        yield one


def test_whole_slides_are_read(watched: Watched) -> None:
    for container, group in seeds().items():
        for number, whole in enumerate(group):
            with tempfile.TemporaryDirectory() as folder:
                one = mutant(0, seed=0)._replace(files=whole.files)
                seen = watched.look(one.write(Path(folder)))
            assert seen[:2] == ("read", ""), (container, number)


@pytest.mark.slow
def test_mutants_end_in_one_line_or_in_pixels() -> None:
    cases = list(mutants(range(COUNT), seed=SEED))
    assert [case for case in cases if case.seen.outcome in BAD] == []
    counts = Counter(case.seen.outcome for case in cases)
    assert min(counts["refused"], counts["read"], 3 * counts["broken tiles"]) > COUNT / 10
    assert f"| all mutants | {COUNT} |" in table(cases)


@pytest.mark.parametrize("number", [3960])
def test_mutants_that_once_ended_badly(watched: Watched, tmp_path: Path, number: int) -> None:
    assert watched.look(mutant(number, seed=SEED).write(tmp_path)).outcome not in BAD


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_one_line_or_in_pixels(watched: Watched, tmp_path: Path, name: str) -> None:
    seen = watched.look(BOMBS[name](tmp_path))
    assert seen.outcome not in BAD, seen


def test_a_mutant_is_its_number_and_seed() -> None:
    assert mutant(17, seed=3) == mutant(17, seed=3)
    assert mutant(17, seed=3).files != mutant(17, seed=4).files
    whole = {tuple(seed.files.values()) for group in seeds().values() for seed in group}
    changed = [number for number in range(100) if tuple(mutant(number, seed=0).files.values()) not in whole]
    assert len(changed) > 90
    assert {mutant(number, seed=0).container for number in range(len(seeds()))} == set(seeds())


@pytest.mark.parametrize("act", ["crash", "leave", "hang", "memory", "peak"])
def test_what_is_bad_is_seen(tmp_path: Path, act: str) -> None:
    script = tmp_path / "actor.py"
    script.write_text(ACTOR)
    with Watched(seconds=1.0, grow=200_000_000, script=script) as watched:
        assert watched.look(tmp_path / "fine").outcome == "read"
        expected = {"leave": "crash", "peak": "memory"}.get(act, act)
        assert watched.look(tmp_path / act).outcome == expected
        # Another process takes over.
        assert watched.look(tmp_path / "fine").outcome == "read"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("SlideError('x.tif is damaged')", "refused"),
        ("SlideError('two\\nlines of x.tif')", "traceback"),
        ("SlideError('which file?')", "traceback"),
        ("MemoryError()", "traceback"),
        ("KeyError('tag')", "traceback"),
    ],
)
def test_other_errors_are_seen(tmp_path: Path, error: str, outcome: str) -> None:
    script = tmp_path / "worker.py"
    worker = (Path(__file__).parent / "worker.py").read_text()
    raising = f"from histome.errors import SlideError\n\ndef open_slide(*_, **__):\n    raise {error}\n"
    script.write_text(worker.replace("\nif __name__", f"\n{raising}\n\nif __name__"))
    with Watched(script=script) as watched:
        assert watched.look(tmp_path / "x.tif").outcome == outcome
