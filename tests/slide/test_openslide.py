"""The OpenSlide reader, on files that the TIFF reader would otherwise take."""

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import break_tile, gradient, numbered, tiled_tiff

from histome.errors import SlideError
from histome.slide import Box, open_slide
from histome.slide.openslide import OpenSlideReader, detect


def test_levels_and_pixels(tmp_path: Path) -> None:
    pixels = numbered(256, 256)
    reader = OpenSlideReader(tiled_tiff(tmp_path / "x.tif", pixels, factors=(1, 4)))
    assert [level[:3] for level in reader.levels] == [(256, 256, 1.0), (64, 64, 4.0)]
    assert np.array_equal(reader.read(0, 10, 20, 30, 40), pixels[20:60, 10:40])
    assert reader.read(1, 3, 4, 5, 6).shape == (6, 5, 3)
    reader.close()


def test_outside_is_white(tmp_path: Path) -> None:
    reader = OpenSlideReader(tiled_tiff(tmp_path / "x.tif", numbered(64, 64)))
    region = reader.read(0, -10, 50, 30, 30)
    assert (region[14:] == 255).all()
    assert (region[:, :10] == 255).all()
    assert np.array_equal(region[:14, 10:], numbered(64, 64)[50:, :20])
    reader.close()


def test_goes_on_after_an_error(tmp_path: Path) -> None:
    """OpenSlide's handle refuses everything after one bad tile: ours is reopened, the tile is counted."""
    pixels = gradient(200, 200)
    path = tiled_tiff(tmp_path / "x.tif", pixels, tile=64, compression="jpeg")
    break_tile(path, 5)
    reader = OpenSlideReader(path)
    for _ in range(2):
        region = reader.read(0, 30, 0, 150, 200)
    assert (region[64:128, 34:98] == 255).all()
    assert np.abs(region[:64].astype(int) - pixels[:64, 30:180]).max() < 60
    assert np.abs(region[128:].astype(int) - pixels[128:, 30:180]).max() < 60
    assert reader.broken.boxes == (Box(64, 64, 128, 128),)
    assert reader.broken.reasons[0]
    assert np.abs(reader.read(0, 130, 130, 60, 60).astype(int) - pixels[130:190, 130:190]).max() < 60
    reader.close()


def test_nothing_decodable_is_refused(data_dir) -> None:
    with pytest.raises(SlideError, match=r"unreadable\.svs cannot be decoded \(Bogus marker length\)"):
        OpenSlideReader(data_dir("slides/unreadable.svs"))


def test_not_a_slide_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.svs").write_bytes(b"no slide at all")
    assert detect(tmp_path / "x.svs") is None
    with pytest.raises(SlideError, match="is not a slide that OpenSlide reads"):
        OpenSlideReader(tmp_path / "x.svs")


@pytest.mark.parametrize("name", ["boxes_0.dcm", "boxes_1.dcm"])
def test_dicom(data_dir, name: str) -> None:
    with open_slide(data_dir(f"slides/{name}")) as slide:
        assert slide.reader.format == "dicom"
        assert (slide.size_px, slide.mpp.x, slide.mpp.source) == ((16, 16), 0.499, "DICOM metadata")
        assert slide.read(0, 0, size=(16, 16)).mean() == pytest.approx(236.3, abs=1)
        assert not {key for key in slide.reader.properties if "atient" in key or "Date" in key}


def test_cut_dicom_is_refused(data_dir, tmp_path: Path) -> None:
    data = data_dir("slides/boxes_0.dcm").read_bytes()
    for share in (0.2, 0.5, 0.9):
        (tmp_path / "cut.dcm").write_bytes(data[: int(share * len(data))])
        with pytest.raises(SlideError, match=r"cut\.dcm (is not a DICOM|cannot be (opened|decoded))"):
            open_slide(tmp_path / "cut.dcm")
