"""What a small file may cost: memory and time watched in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import bombs
from helpers.cli import Cli
from helpers.phantoms import numbered, tiled_tiff

from histome.errors import SlideError
from histome.slide import open_slide
from histome.slide.tiff.claims import claimed_px

TESTS = Path(__file__).parents[1]
MOST_BYTES = 200_000_000
# The peak of this process alone (a child's ru_maxrss begins with its parent's), set back between files.
WATCH = """
import contextlib, io, json, sys, time
from pathlib import Path
from histome.cli import main
from histome.slide import open_slide

def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def info(path):
    with contextlib.suppress(SystemExit):
        main(["info", "--mpp", "0.5", path])

def read(path):
    with open_slide(path, mpp=0.5) as slide:
        slide.read(0, 0, size=(64, 64))
        slide.thumbnail(64)

told = {}
for name, path in [("warm-up", sys.argv[1]), *json.loads(sys.argv[2]).items()]:
    for work in (info, read):
        Path("/proc/self/clear_refs").write_text("5")
        before, started, said = peak(), time.process_time(), ""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                work(path)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
        cost, seconds = peak() - before, time.process_time() - started
        told[f"{name} {work.__name__}"] = (cost, seconds, err.getvalue() or said)
print(json.dumps(told))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux' count of a process' memory"
)
def test_a_small_file_costs_little(tmp_path: Path) -> None:
    plain = tiled_tiff(tmp_path / "plain.tif", numbered(300, 300), compression="jpeg")
    drawn = {**bombs.draw_allowed(tmp_path), **bombs.draw_all(tmp_path)}
    files = {name: str(path) for name, path in drawn.items()}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(plain), json.dumps(files)],
        cwd=TESTS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert {name: cost for name, (cost, _, _) in told.items() if cost > MOST_BYTES} == {}
    assert {name: seconds for name, (_, seconds, _) in told.items() if seconds > 10} == {}
    said = {name: line for name, (_, _, line) in told.items()}
    assert not [line for line in said.values() if "unexpected" in line or line.count("\n") > 1]
    refused = {name.split()[0] for name, line in said.items() if line.startswith("SlideError")}
    assert refused == {name for name in files if not name.startswith("allowed")}, said


def test_info_decodes_no_plain_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image, ImageFile

    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    Image.fromarray(numbered(80, 80)).save(tmp_path / "x.png")
    Image.fromarray(numbered(80, 80)).save(tmp_path / "x.jpg")
    Image.fromarray(numbered(80, 80)).save(tmp_path / "x.tif")
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr("histome.slide.tiff.page.Pieces.samples", decode)
    for name in ("x.png", "x.jpg", "x.tif"):
        code, out, err = Cli(capsys)("info", "--mpp", "0.5", tmp_path / name)
        assert (code, err) == (0, "")
        assert "80 x 80 px" in out


def test_a_large_plain_image_is_held_as_it_was_decoded(tmp_path: Path) -> None:
    """4,000 x 4,000 gray px: 16 MB where RGB, and copies of it, would be 48 MB each."""
    rng = np.random.default_rng(0)
    from PIL import Image

    pixels = rng.integers(0, 256, (4000, 4000), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "gray.png", compress_level=1)
    code = (
        "import sys\nfrom pathlib import Path\nfrom histome.slide import open_slide\n"
        "slide = open_slide(sys.argv[1], mpp=0.5)\n"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "before = peak()\nprint(slide.read(3990, 3990, size=(20, 20))[0, 0, 0], peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "gray.png")], capture_output=True, text=True
    )
    value, kib = map(int, done.stdout.split())
    assert value == pixels[3990, 3990]
    assert kib * 1024 < 36_000_000


@pytest.mark.parametrize(
    ("compression", "data", "px"),
    [
        (bombs.JPEG, bombs.jpeg(700, 500), 350_000),
        (bombs.JPEG, bombs.jpeg(700, 500, fill=b"\xff\xff"), 350_000),
        (bombs.JPEG, bombs.jpeg(700, 500, fill=b"no marker"), 350_000),
        (bombs.JPEG2000, bombs.jpeg2000(700, 500), 350_000),
        (bombs.WEBP, bombs.webp(300), 90_000),
        (5, b"whatever LZW has", 0),
    ],
)
def test_what_data_claims(compression: int, data: bytes, px: int) -> None:
    assert claimed_px(compression, data) == px


@pytest.mark.parametrize(
    ("compression", "data"),
    [
        (bombs.JPEG, b"\xff\xd8"),
        (bombs.JPEG, b"\xff\xd8\xff\xff\xff"),
        (bombs.JPEG, b"\xff\xd8\xff\xda\x00\x04ab"),
        (bombs.JPEG, bombs.jpeg(700, 500)[:100]),
        (bombs.JPEG2000, b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40)),
        (bombs.JPEG2000, bombs.jpeg2000(700, 500)[:30]),
        (bombs.JPEG2000, bombs.jpeg2000(700, 500, tile=5)),
        (bombs.WEBP, b"RIFF\x10\0\0\0WEBPVP9 " + bytes(20)),
        (bombs.WEBP, b""),
    ],
)
def test_data_without_a_size_is_damaged(compression: int, data: bytes) -> None:
    with pytest.raises(RuntimeError):
        claimed_px(compression, data)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_of_both_kinds_and_jp2_boxes_state_their_size(lossless: bool) -> None:
    import imagecodecs

    pixels = numbered(60, 90)
    assert claimed_px(bombs.WEBP, imagecodecs.webp_encode(pixels, lossless=lossless, level=50)) == 5400
    with_alpha = np.dstack([pixels, pixels[..., 0]])
    assert claimed_px(bombs.WEBP, imagecodecs.webp_encode(with_alpha, lossless=lossless, level=50)) == 5400
    boxed = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2")
    assert boxed[4:8] == b"jP  "
    assert claimed_px(bombs.JPEG2000, boxed) == 5400


def test_a_size_that_is_no_whole_number_is_refused(tmp_path: Path) -> None:
    tags = {**bombs.page(64, 64, 1), 256: (12, [1e-308])}
    path = bombs.tiff(tmp_path / "x.tif", tags, [bytes(64 * 64 * 3)])
    with pytest.raises(SlideError, match=r"x\.tif states a size that is no whole number \(tag 256\)"):
        open_slide(path, mpp=0.5)


def test_lists_are_held_against_the_size_before_they_are_read(tmp_path: Path) -> None:
    path = bombs.sparse_tiles(tmp_path / "x.tif", 1_000_000)
    with pytest.raises(SlideError, match=r"x\.tif lists 1000000 tiles where its size needs 1; it is damaged"):
        open_slide(path, mpp=0.5)
    path = bombs.many_directories(tmp_path / "y.tif", 2001)
    with pytest.raises(SlideError, match=r"y\.tif lists more than 2000 images"):
        open_slide(path, mpp=0.5)


def test_a_claim_of_planes_is_told_not_looked_up(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"has the axes ZTYX"):
        open_slide(bombs.ome(tmp_path / "x.ome.tif"), mpp=0.5)


def test_memory_is_said_in_bytes(tmp_path: Path) -> None:
    with pytest.raises(
        SlideError, match=r"claims 20000 x 20000 px in one piece, 1\.6 GB of memory \(limit for this file"
    ):
        open_slide(bombs.png(tmp_path / "x.png", 20_000, 6, honest=False), mpp=0.5)
