"""Real slides through the command line: named by a manifest, from an address, beside another run."""

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.cli import Cli
from helpers.drawn_containers import write_dicom
from helpers.fakes import snapshot
from helpers.phantoms import small_phantom

from histome.cohort.manifest import read_slides
from histome.cohort.run import CohortOptions, run_cohort
from histome.slide import open_slide
from histome.store.lock import FolderLock

pytestmark = pytest.mark.slow
pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "there"
    folder.mkdir()
    small_phantom(folder / "far.tif", seed=2, size_px=(700, 600), tissue_share=0.8)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/far.tif"
    server.shutdown()
    server.server_close()


def test_a_manifest_of_near_and_far_slides(cli: Cli, tmp_path: Path, address: str) -> None:
    small_phantom(tmp_path / "1.tif", size_px=(700, 600), tissue_share=0.8)
    (tmp_path / "damaged.svs").write_bytes(b"no slide")
    manifest, out = tmp_path / "m.csv", tmp_path / "out"
    rows = ["1.tif,near,colon,", f"{address},far,breast,", "damaged.svs,,,", "gone.svs,,,yes"]
    manifest.write_text("\n".join(["path,slide,organ,exclude", *rows]))
    words = ("cohort", "run", manifest, "-o", out, "--stages", "qc", "--workers", 2, "--tries", 1)
    (out / "near").mkdir(parents=True)
    lock = FolderLock(out / "near")
    lock.__enter__()  # another run, which ends
    threading.Timer(6.0, lock.__exit__, (None, None, None)).start()
    code, said, _ = cli(*words)
    assert code == 1
    assert "3 slides, 2 at once: about" in said
    assert "2 done, 1 failed, 1 left out" in said
    assert "damaged: failed: damaged.svs is no slide or image that histome reads" in said
    near, far = (json.loads((out / name / "run.json").read_text()) for name in ("near", "far"))
    assert (near["slide"]["id"], near["slide"]["file"]) == ("near", "1.tif")
    assert (near["config"]["slide"]["organ"], far["config"]["slide"]["organ"]) == ("colorectum", "breast")
    assert far["slide"]["file"] == "far.tif"
    page = (out / "summary.html").read_text()
    assert page.count('src="data:image/jpeg') == 2

    before = snapshot(out / "far"), snapshot(out / "near")
    (copy,) = (out / ".slides").glob("*/far.tif")
    copy.unlink()
    assert cli(*words)[0] == 1
    assert not copy.exists()  # all that it says is known
    assert (snapshot(out / "far"), snapshot(out / "near")) == before
    assert "2 done, 1 failed, 1 left out" in cli("cohort", "status", out)[1]
    assert json.loads(cli("cohort", "status", out, "--json")[1])["counts"]["done"] == 2


def test_a_cohort_is_what_its_slides_are_one_by_one(cli: Cli, tmp_path: Path) -> None:
    for seed in (1, 2):
        small_phantom(tmp_path / f"{seed}.tif", seed=seed, size_px=(700, 600), tissue_share=0.8)
        cli("profile", tmp_path / f"{seed}.tif", "-o", tmp_path / "alone", "--stages", "qc", "--workers", 1)
    slides = read_slides([str(tmp_path / "*.tif")])
    run_cohort(slides, tmp_path / "out", CohortOptions(stages=("qc",), workers=2))
    for name in "12":
        assert snapshot(tmp_path / "out" / name) == snapshot(tmp_path / "alone" / name)
    assert os.listdir(tmp_path / "out" / "thumbnails")


def test_a_folder_of_dicom_is_a_slide(tmp_path: Path) -> None:
    small_phantom(tmp_path / "drawn.tif", size_px=(700, 600), tissue_share=0.8)
    with open_slide(tmp_path / "drawn.tif") as slide:
        pixels = slide.thumbnail(700)
    study = tmp_path / "slides" / "study"
    study.mkdir(parents=True)
    for number, step in enumerate((1, 4)):
        level = pixels[::step, ::step]
        write_dicom(study / f"{number}.dcm", level, instance=f"1.2.3.{number}", mpp=0.5 * step)
    status = run_cohort(read_slides([study.parent]), tmp_path / "out", CohortOptions(stages=("qc",)))
    assert status.slides["study"].state == "done", status.slides
    kept = json.loads((tmp_path / "out" / "study" / "run.json").read_text())["slide"]
    assert (kept["id"], kept["format"]) == ("study", "dicom")


def test_no_cohort_is_one_line(cli: Cli, tmp_path: Path) -> None:
    cli.fails("cohort", "status", tmp_path, code=1, word="no cohort here")
    cli.fails("cohort", "run", tmp_path / "no.svs", "-o", tmp_path, code=2, word="no such file")
    cli.fails("cohort", "run", tmp_path, "-o", tmp_path / "out", code=2, word="no slides in this folder")
