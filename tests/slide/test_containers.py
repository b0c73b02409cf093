"""Containers of scanners, drawn as small as OpenSlide opens them; and those that must be converted first."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_containers import write_bif, write_dicom, write_mrxs, write_ndpi, write_scn
from helpers.phantoms import gradient
from PIL import Image

from histome.errors import MppError, SlideError
from histome.slide import Box, open_slide
from histome.slide.containers import slide_files
from histome.slide.fingerprint import of_file

PIXELS = gradient(256, 320)
CONVERT = "convert it to OME-TIFF with"


def refusal(path: Path, **options: float) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "write", "format"),
    [
        ("x.ndpi", lambda path: write_ndpi(path, {0: PIXELS}), "hamamatsu"),
        ("x.bif", lambda path: write_bif(path, PIXELS), "ventana"),
        ("x.mrxs", lambda path: write_mrxs(path, PIXELS), "mirax"),
        ("x.dcm", lambda path: write_dicom(path, PIXELS), "dicom"),
    ],
)
def test_pixels_size_and_resolution(tmp_path: Path, name: str, write, format: str) -> None:
    with open_slide(write(tmp_path / name)) as slide:
        assert (slide.reader.format, slide.size_px, slide.mpp[:2]) == (format, (320, 256), (0.5, 0.5))
        pixels = slide.read(0, 0, size=(320, 256)).astype(int)
        assert np.abs(pixels - PIXELS).max() <= (12 if format in ("hamamatsu", "dicom") else 0)
        # A region that starts beside the lattice of tiles, half of it outside.
        part = slide.read(300, 100, size=(40, 30))
        assert np.array_equal(part[:, :20], pixels[100:130, 300:])
        assert (part[:, 20:] == 255).all()
        assert len(slide.broken) == 0


def test_names_and_barcodes_stay_in_the_file(tmp_path: Path) -> None:
    for path in (
        write_ndpi(tmp_path / "x.ndpi", {0: PIXELS}),
        write_scn(tmp_path / "x.scn", PIXELS),
        write_bif(tmp_path / "x.bif", PIXELS),
        write_mrxs(tmp_path / "x.mrxs", PIXELS),
        write_dicom(tmp_path / "x.dcm", PIXELS),
    ):
        with open_slide(path) as slide:
            assert "secret" not in str(slide.reader.properties).lower(), path.name


def test_scn_lies_at_its_place_in_a_larger_collection(tmp_path: Path) -> None:
    with open_slide(write_scn(tmp_path / "x.scn", PIXELS, offset_px=(128, 64))) as slide:
        assert (slide.reader.format, slide.size_px, slide.mpp[:2]) == ("leica", (576, 384), (0.5, 0.5))
        assert slide.bounds_px == Box(128, 64, 448, 320)
        assert np.array_equal(slide.read(128, 64, size=(320, 256)), PIXELS)
        whole = slide.read(0, 0, size=slide.size_px)
    assert (whole[:64] == 255).all()
    assert (whole[:, 448:] == 255).all()


def test_focal_plane_zero_is_read(tmp_path: Path) -> None:
    inverse = 255 - PIXELS
    with open_slide(write_ndpi(tmp_path / "x.ndpi", {-500: inverse, 0: PIXELS, 500: inverse})) as slide:
        assert np.abs(slide.read(0, 0, size=(320, 256)).astype(int) - PIXELS).max() <= 12
        assert np.abs(slide.read(0, 0, size=(80, 64), mpp=2.0).astype(int) - PIXELS[::4, ::4]).mean() < 12
    with open_slide(write_scn(tmp_path / "x.scn", PIXELS, planes=3)) as slide:
        assert np.array_equal(slide.read(128, 64, size=(320, 256)), PIXELS)


def test_fluorescence_scn_is_refused(tmp_path: Path) -> None:
    assert CONVERT in refusal(write_scn(tmp_path / "x.scn", PIXELS, light="fluorescence"))


def test_bif_tiles_overlap(tmp_path: Path) -> None:
    with open_slide(write_bif(tmp_path / "x.bif", PIXELS, overlap=8)) as slide:
        assert slide.size_px == (320 - 4 * 8, 256 - 3 * 8)
        assert np.array_equal(slide.read(60, 60, size=(40, 40)), PIXELS[68:108, 68:108])


def test_mrxs_was_not_scanned_everywhere(tmp_path: Path) -> None:
    missing = [(0, 0), (0, 1), (0, 2), (0, 3), (2, 1)]
    with open_slide(write_mrxs(tmp_path / "x.mrxs", PIXELS, missing=missing)) as slide:
        assert slide.bounds_px == Box(64, 0, 320, 256)
        pixels = slide.read(0, 0, size=(320, 256))
        # Unscanned glass is white, and no damage.
        assert len(slide.broken) == 0
    assert (pixels[:, :64] == 255).all()
    assert (pixels[64:128, 128:192] == 255).all()
    assert np.array_equal(pixels[128:, 64:], PIXELS[128:, 64:])


def test_mrxs_without_its_folder(tmp_path: Path) -> None:
    path = write_mrxs(tmp_path / "x.mrxs", PIXELS)
    (tmp_path / "x" / "Index.dat").unlink()
    assert "Index.dat" in refusal(path)
    shutil.rmtree(tmp_path / "x")
    assert refusal(path).startswith("x.mrxs needs the folder x beside it")


def test_mrxs_cut_short(tmp_path: Path) -> None:
    path = write_mrxs(tmp_path / "x.mrxs", PIXELS)
    data = (tmp_path / "x" / "Data0000.dat").read_bytes()
    (tmp_path / "x" / "Data0000.dat").write_bytes(data[: len(data) // 2])
    assert "x.mrxs cannot be opened" in refusal(path)


@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("x.vsi", b"II*\0\x08\0\0\0", f"is Olympus or Evident VSI: {CONVERT}"),
        ("x.ets", b"SIS\0", f"is Olympus or Evident VSI: {CONVERT}"),
        ("renamed.svs", b"\x70\0\0\0\x20", f"is Leica LIF: {CONVERT}"),
        ("x.nd2", b"\xda\xce\xbe\x0a", f"is Nikon ND2: {CONVERT}"),
        ("x.lsm", b"II*\0\x08\0\0\0", f"is Zeiss ZVI or LSM: {CONVERT}"),
        (
            "x.isyntax",
            b'<DataObject ObjectType="DPUfsImport">',
            "is Philips iSyntax: export it as SVS, DICOM or",
        ),
        ("x.kfb", b"KFB\0", "is KFBio KFB: export it as SVS, DICOM or"),
        ("x.jp2", b"\0\0\0\x0cjP  ", "is JPEG 2000: save it as PNG or TIFF"),
        ("x.zip", b"PK\3\4", "is an archive: unpack it and name the slide in it"),
    ],
)
def test_foreign_formats_say_what_converts_them(tmp_path: Path, name: str, head: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(head + bytes(500))
    assert refusal(tmp_path / name, mpp=0.5).startswith(f"{name} {message}")


@pytest.mark.parametrize("known", [True, False])
def test_a_czi_that_openslide_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    (tmp_path / "x.czi").write_bytes(b"ZISRAWFILE" + bytes(500))
    if not known:  # older builds of OpenSlide
        monkeypatch.setattr("histome.slide.openslide.detect", lambda _: None)
    assert CONVERT in refusal(tmp_path / "x.czi")


def test_the_overview_in_a_vsi_is_not_taken_for_the_slide(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "x.vsi", "TIFF")
    assert CONVERT in refusal(tmp_path / "x.vsi", mpp=0.5)


def test_ome_zarr(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    assert "raw2ometiff" in refusal(tmp_path / "x.zarr")


def test_a_pipe_is_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.svs")
    assert refusal(tmp_path / "pipe.svs").endswith(
        "is a pipe or a device, not a file; save the slide as a file first."
    )
    assert "is a pipe or a device" in refusal(Path("/dev/null"))


@pytest.mark.parametrize(("name", "density"), [("x.png", "PNG density"), ("x.jpg", "JPEG density")])
def test_a_picture_has_a_density_and_no_tiff(tmp_path: Path, name: str, density: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name, dpi=(25_400, 25_400))
    with open_slide(tmp_path / name) as slide:
        assert (slide.mpp.x, slide.mpp.source) == (pytest.approx(1.0, rel=1e-3), density)
    Image.fromarray(PIXELS).save(tmp_path / name, dpi=(2_540, 2_540))
    with pytest.raises(MppError, match=density):
        open_slide(tmp_path / name)


def test_a_dicom_slide_is_its_series(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "0.dcm", PIXELS, series="1.2.3", instance="1.2.3.0")
    alone = of_file(path)
    write_dicom(tmp_path / "other.dcm", 255 - PIXELS, series="1.2.4", instance="1.2.4.0")
    (tmp_path / "notes.dcm").write_text("no DICOM")
    (tmp_path / "cut.dcm").write_bytes(path.read_bytes()[:300])
    assert slide_files(path) == [path]
    assert of_file(path) == alone
    # OpenSlide looks at what a file says, not at its ending.
    small = np.ascontiguousarray(PIXELS[::2, ::2])
    second = write_dicom(tmp_path / "1", small, series="1.2.3", instance="1.2.3.1")
    assert slide_files(path) == [path, second]
    assert of_file(path) != alone
    with open_slide(path) as slide:
        assert [level[:2] for level in slide.reader.levels] == [(320, 256), (160, 128)]


def test_a_vms_is_the_files_that_it_names(tmp_path: Path) -> None:
    index = ("[Virtual]", "ImageFile=a.jpg", "ImageFile(1,0)=../b.jpg", "MapFile=gone.jpg", "No=c.jpg")
    (tmp_path / "x.vms").write_text("\n".join(index))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"pixels")
    assert [file.name for file in slide_files(tmp_path / "x.vms")] == ["x.vms", "a.jpg", "b.jpg"]
    before = of_file(tmp_path / "x.vms")
    (tmp_path / "a.jpg").write_bytes(b"others")
    assert of_file(tmp_path / "x.vms") != before


def test_a_dicom_that_cannot_be_followed_is_a_slide_of_its_own(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_dicom(tmp_path / "0.dcm", PIXELS)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(132, 900)])
        for at in rng.integers(132, len(damaged), 3) if len(damaged) > 140 else ():
            damaged[at] = rng.integers(256)
        (tmp_path / "1.dcm").write_bytes(damaged)
        assert slide_files(path)[0] == path
        assert slide_files(tmp_path / "1.dcm")[0] == tmp_path / "1.dcm"


def test_a_dicom_far_larger_than_its_frames_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "0.dcm", PIXELS)
    rows = b"\x48\x00\x07\x00UL\x04\x00"
    head, tail = path.read_bytes().split(rows)
    path.write_bytes(head + rows + (500_000).to_bytes(4, "little") + tail[4:])
    with pytest.raises(SlideError, match=r"claims \d+ x 500000 px in \d+ frames; it is damaged"):
        open_slide(path)


def test_real_dicom_instances_are_one_slide(data_dir, tmp_path: Path) -> None:
    for name in ("boxes_0.dcm", "boxes_1.dcm"):
        shutil.copy(data_dir(f"slides/{name}"), tmp_path / name)
    assert [file.name for file in slide_files(tmp_path / "boxes_1.dcm")] == ["boxes_1.dcm", "boxes_0.dcm"]
