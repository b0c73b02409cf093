"""A profile belongs to one slide, and only what histome wrote is ever removed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.fakes import NAMES, FakeSlide, run_texts, snapshot

from histome.errors import OutputError, UsageError
from histome.store.ownership import FORMAT, refuse_overwriting


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def refused(folder: Path, word: str, **options: object) -> str:
    """Run into a folder, expect one line of refusal and that not a byte has changed; return the line."""
    before = everything(folder)
    with pytest.raises(OutputError, match=word) as caught:
        run_texts(folder, **options)
    assert everything(folder) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("other", ["b/fake.svs", "a/fake.png"])
def test_another_slides_profile_is_replaced_only_when_told(tmp_path: Path, other: str) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide("f1", path="a/fake.svs"))
    line = refused(tmp_path / "p", "another slide", slide=FakeSlide("f2", path=other))
    assert "fake.svs" in line
    assert "--overwrite" in line
    assert run_texts(tmp_path / "p", slide=FakeSlide("f2", path=other), overwrite=True) == list(NAMES)
    refused(tmp_path / "p", "another slide", slide=FakeSlide("f1", path="a/fake.svs"))


def test_a_slide_that_was_moved_or_copied_is_done(tmp_path: Path) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide("f1", path="a/fake.svs"))
    assert run_texts(tmp_path / "p", slide=FakeSlide("f1", path="b/copy.svs")) == []
    once = everything(tmp_path / "p")
    assert run_texts(tmp_path / "p", slide=FakeSlide("f1", path="b/copy.svs")) == []
    assert everything(tmp_path / "p") == once
    # It lies there now: what is put in its place is the slide changed, not another.
    assert run_texts(tmp_path / "p", slide=FakeSlide("f2", path="b/copy.svs")) == list(NAMES)


def test_a_slide_that_was_changed_in_its_place_is_measured_again(tmp_path: Path) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide("f1"))
    assert run_texts(tmp_path / "p", slide=FakeSlide("f2")) == list(NAMES)


def test_a_lost_run_json_does_not_give_a_profile_away(tmp_path: Path) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide("f1", path="a/fake.svs"))
    for lose in (Path.unlink, lambda path: path.write_bytes(bytes(100))):
        lose(tmp_path / "p" / "run.json")
        refused(tmp_path / "p", "another slide", slide=FakeSlide("f2", path="b/fake.svs"))


def their_run_json(folder: Path) -> None:
    (folder / "run.json").write_text('{"mine": 1}')


def their_run_json_beside_our_stages(folder: Path) -> None:
    run_texts(folder)
    their_run_json(folder)


def their_list(folder: Path) -> None:
    (folder / "run.json").write_text("[1, 2]")


def their_cells(folder: Path) -> None:
    run_texts(folder, wanted=("qc",))
    (folder / "cells").mkdir()
    (folder / "cells" / "precious.txt").write_text("mine")


def their_cells_with_a_record(folder: Path) -> None:
    their_cells(folder)
    (folder / "cells" / "stage.json").write_text('{"stage": "left"}')


def their_cells_in_a_file(folder: Path) -> None:
    run_texts(folder, wanted=("qc",))
    (folder / "cells").write_text("mine")


def their_cells_behind_a_link(folder: Path) -> None:
    run_texts(folder, wanted=("qc",))
    (folder.parent / "theirs").mkdir()
    (folder.parent / "theirs" / "precious.txt").write_text("mine")
    (folder / "cells").symlink_to(folder.parent / "theirs")


@pytest.mark.parametrize(
    "prepare",
    [
        their_run_json,
        their_run_json_beside_our_stages,
        their_list,
        their_cells,
        their_cells_with_a_record,
        their_cells_in_a_file,
        their_cells_behind_a_link,
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_histomes_is_never_touched(
    tmp_path: Path, prepare: Callable[[Path], None], overwrite: bool
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    prepare(folder)
    (folder / ".lock").write_text("theirs, too")
    (folder / "thesis.txt").write_text("mine")
    refused(folder, "give another folder|move it out", slide=FakeSlide("f2"), overwrite=overwrite)


def test_hidden_folders_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "p" / ".download.partial").mkdir(parents=True)
    (tmp_path / "p" / ".download.partial" / "precious.txt").write_text("mine")
    for name in ("cells", "run.json"):
        (tmp_path / "p" / f".{name}.partial").touch()
    run_texts(tmp_path / "p")
    assert (tmp_path / "p" / ".download.partial" / "precious.txt").is_file()
    assert {path.name for path in (tmp_path / "p").glob(".*")} == {".download.partial"}


def test_a_linked_stage_is_made_again_and_what_it_led_to_stays(tmp_path: Path) -> None:
    run_texts(tmp_path / "p")
    (tmp_path / "p" / "cells").rename(tmp_path / "big disk")
    (tmp_path / "p" / "cells").symlink_to(tmp_path / "big disk")
    assert run_texts(tmp_path / "p") == []
    assert run_texts(tmp_path / "p", inputs={"cells": 1}) == [
        "cells",
        "metrics",
        "parts",
        "narrative",
        "report",
    ]
    assert (tmp_path / "big disk" / "value.txt").is_file()


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_texts(tmp_path / "p")
    expected = snapshot(tmp_path / "p")

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("histome.store.disk.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run_texts(tmp_path / "p", inputs={"cells": 1})
    assert run_texts(tmp_path / "p") == ["cells"]
    assert snapshot(tmp_path / "p") == expected


def test_every_record_says_whose_it_is(tmp_path: Path) -> None:
    run_texts(tmp_path / "p", slide=FakeSlide("f1", path="a/b\n.svs"))
    for path in (tmp_path / "p" / "run.json", tmp_path / "p" / "qc" / "stage.json"):
        record = json.loads(path.read_text())
        assert record["format"] == "histome profile 1"
        assert record["slide"]["file"] == "b%0A.svs"
        assert record["slide"]["content"] == "f1"


def test_exports_and_files_beside_a_profile_are_free(tmp_path: Path) -> None:
    """Only its records, its row and the folders of its stages are a profile's own."""
    for record in (tmp_path / "run.json", tmp_path / "cells" / "stage.json"):
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps({"format": FORMAT}))
    for free in ("exports/cells.csv", "tiles.csv", "../slide.csv", "new/cells/a.svg"):
        refuse_overwriting(tmp_path / free, tmp_path / "cells", tmp_path / "none.csv", None)
    for own in ("run.json", "slide.csv", "cells/a.svg", "cells/deep/a.svg"):
        with pytest.raises(UsageError, match="own"):
            refuse_overwriting(tmp_path / own)
    (tmp_path / "cells" / "stage.json").write_text("{}")
    refuse_overwriting(tmp_path / "cells" / "a.svg")
