"""What a stage has done survives the end of its run, and nothing else does."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.fakes import NAMES, TEXT, FakeSlide, make_run, snapshot

from histome.errors import Interrupted, SlideError
from histome.slide import BrokenTiles
from histome.slide.tiles import Box
from histome.store.checkpoint import Checkpoint
from histome.store.runner import Run


def checkpoint(folder: Path) -> tuple[Checkpoint[str], BrokenTiles]:
    slide = SimpleNamespace(broken=BrokenTiles(), path=folder.with_name("slide.tif"))
    return Checkpoint(folder, TEXT, slide), slide.broken  # type: ignore[arg-type]


def add_all(folder: Path, *parts: str) -> None:
    kept, _ = checkpoint(folder)
    for part in parts:
        kept.add(part)


def test_parts_come_back_in_order_and_go_on(tmp_path: Path) -> None:
    add_all(tmp_path / "parts", "a", "b")
    kept, _ = checkpoint(tmp_path / "parts")
    assert kept.load() == ["a", "b"]
    kept.add("c")
    assert checkpoint(tmp_path / "parts")[0].load() == ["a", "b", "c"]


@pytest.mark.parametrize("file", ["value.txt", "stage.json"])
def test_a_damaged_part_ends_what_is_kept(tmp_path: Path, file: str) -> None:
    add_all(tmp_path / "parts", "a", "b", "c")
    (tmp_path / "parts" / "000001" / file).write_bytes(b"\0")
    (tmp_path / "parts" / ".000003.partial").mkdir()
    kept, _ = checkpoint(tmp_path / "parts")
    assert kept.load() == ["a"]
    kept.add("B")
    assert checkpoint(tmp_path / "parts")[0].load() == ["a", "B"]


def test_broken_tiles_are_known_though_nothing_is_read_again(tmp_path: Path) -> None:
    kept, broken = checkpoint(tmp_path / "parts")
    for number, part in enumerate("ab"):
        broken.add(0, Box(number, 0, number + 1, 1), f"reason {number}")
        kept.add(part)
    again, met = checkpoint(tmp_path / "parts")
    assert again.load() == ["a", "b"]
    assert met.boxes == broken.boxes
    assert all(isinstance(box, Box) for box in met.boxes)
    assert met.reasons == broken.reasons == ("reason 0", "reason 1")


def test_a_part_of_a_slide_that_changed_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "slide.tif").write_bytes(b"whole slide")
    kept, _ = checkpoint(tmp_path / "parts")
    kept.add("a")
    (tmp_path / "slide.tif").write_bytes(b"half")
    with pytest.raises(SlideError, match=r"slide\.tif has changed"):
        kept.add("b")
    assert checkpoint(tmp_path / "parts")[0].load() == ["a"]


def search(run: Run, *, stop_at: int | None) -> list[str]:
    """Do a stage of four parts, cut off before one of them; return the parts that were worked on."""
    done: list[str] = []

    def work() -> str:
        kept = run.checkpoint("cells", TEXT)
        parts = kept.load()
        while len(parts) < 4:
            if len(parts) == stop_at:
                raise Interrupted(15)
            done.append(f"part {len(parts)}")
            parts.append(done[-1])
            kept.add(done[-1])
        return "".join(parts)

    for name in NAMES:
        run.stage(name, work if name == "cells" else lambda name=name: name, TEXT)
    return done


def slide() -> FakeSlide:
    fake = FakeSlide()
    fake.broken = BrokenTiles()  # type: ignore[assignment]
    return fake


def interrupted(path: Path, *, inputs: dict[str, int] | None = None) -> None:
    with pytest.raises(Interrupted), make_run(path, slide=slide(), inputs=inputs) as run:
        search(run, stop_at=3)


def test_nothing_is_gone_on_with_where_the_slide_failed(tmp_path: Path) -> None:
    def fail() -> str:
        run.checkpoint("cells", TEXT).add("part 0")
        raise SlideError("fake.svs cannot be read")

    def fails(run: Run) -> None:
        for name in NAMES:
            run.stage(name, fail if name == "cells" else lambda name=name: name, TEXT)

    with pytest.raises(SlideError), make_run(tmp_path / "p", slide=slide()) as run:
        fails(run)
    assert sorted(entry.name for entry in (tmp_path / "p").iterdir()) == ["qc", "run.json", "tissue"]


def test_a_stage_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    with make_run(tmp_path / "undisturbed", slide=slide()) as run:
        assert len(search(run, stop_at=None)) == 4
    interrupted(tmp_path / "p")
    with make_run(tmp_path / "p", slide=slide()) as run:
        assert search(run, stop_at=None) == ["part 3"]
    assert snapshot(tmp_path / "p") == snapshot(tmp_path / "undisturbed")


def test_parts_of_another_key_are_not_taken_and_not_left(tmp_path: Path) -> None:
    interrupted(tmp_path / "p", inputs={"tissue": 1})
    with make_run(tmp_path / "p", slide=slide()) as run:
        assert len(search(run, stop_at=None)) == 4
    assert not list((tmp_path / "p").glob(".*"))
