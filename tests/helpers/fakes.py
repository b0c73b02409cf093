"""A slide without pixels, and stages that only write text: all that the runner needs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from histome.pipeline import STAGES as NAMES
from histome.slide.fingerprint import Identity
from histome.store.files import Files
from histome.store.graph import Stage
from histome.store.runner import Run

TEXT: Files[str] = Files(
    lambda text, folder: (folder / "value.txt").write_text(text) and None,
    lambda folder: (folder / "value.txt").read_text(),
)


class Mpp(NamedTuple):
    """As in histome.slide, whose import takes longer than these tests."""

    x: float
    y: float
    source: str
    estimated: bool = False
    notes: tuple[str, ...] = ()


class FakeSlide:
    """What the runner asks of a slide."""

    def __init__(
        self,
        content: str = "f1",
        boxes: Sequence[tuple[int, int, int, int]] = (),
        path: str = "fake.svs",
    ) -> None:
        self.id = "fake"
        self.path = Path(path)
        self.mpp = Mpp(0.5, 0.5, "given")
        self.size_px = (1000, 800)
        self.reader = SimpleNamespace(
            format="fake", properties={"vendor": "none"}, notes=("a note",), pages=1
        )
        self.broken = SimpleNamespace(boxes=tuple(boxes))
        self._content = content

    def identity(self, _: Mapping[str, Any]) -> Identity:
        return Identity(self._content[:1], self._content, "then", str(self.path))

    def check_unchanged(self, fingerprint: str) -> None:
        pass


def make_run(
    path: Path,
    *,
    slide: Any = None,
    inputs: Mapping[str, Any] | None = None,
    wanted: Sequence[str] = NAMES,
    overwrite: bool = False,
    about: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {"versions": {}, "warnings": []},
) -> Run:
    stages = [
        Stage(name, after=NAMES[max(0, k - 1) : k], inputs={"setting": (inputs or {}).get(name, 0)})
        for k, name in enumerate(NAMES)
    ]
    # A fixed version: the sources may be edited between two runs of a test.
    with patch("histome.store.runner.code_version", return_value="0"):
        slide = slide or FakeSlide()
        return Run(path, slide, stages, wanted=wanted, about=about, overwrite=overwrite)


def run_texts(path: Path, **options: Any) -> list[str]:
    """Run all stages, each writing the text of the one before and its name; return those computed."""
    computed: list[str] = []

    def step(name: str, before: str) -> str:
        computed.append(name)
        return f"{before}{name} {'x' * 2000}\n"

    with make_run(path, **options) as run:
        before = str
        for name in NAMES:
            before = run.stage(name, lambda name=name, before=before: step(name, before()), TEXT)
    return computed


def snapshot(path: Path) -> dict[str, bytes]:
    """Return every file of a profile but run.json, which holds times."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != "run.json")
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
