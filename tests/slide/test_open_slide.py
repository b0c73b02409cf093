"""Which reader a file gets, and the one line that a bad one gets."""

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import numbered, tiled_tiff
from PIL import Image

from histome.errors import HistomeError, MppError, SlideError
from histome.slide import open_slide


def refusal(path: Path, **options: float) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(SlideError) as caught:
        open_slide(path, **options)  # pyright: ignore[reportArgumentType]
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 1
    return message


def test_readers_are_chosen_by_content_not_by_name(tmp_path: Path) -> None:
    tiled_tiff(tmp_path / "a.png", numbered(64, 64))
    Image.fromarray(numbered(64, 64)).save(tmp_path / "b.tif", format="PNG")
    assert type(open_slide(tmp_path / "a.png").reader).__name__ == "TiffReader"
    with open_slide(str(tmp_path / "b.tif"), mpp=0.5) as slide:
        assert type(slide.reader).__name__ == "PlainReader"
        assert slide.id == "b"


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.svs").endswith("none.svs does not exist.")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder, not a slide" in refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.svs").touch()
    assert refusal(tmp_path / "x.svs") == "x.svs is empty (0 bytes); copy it again."


@pytest.mark.parametrize("name", ["x.svs", "x.txt", "x.png", "x.ndpi"])
def test_not_a_slide(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Dear colleague, please find the slide attached. " * 20)
    assert refusal(tmp_path / name).startswith(f"{name} is no slide or image that histome reads")


def test_not_a_dicom_slide(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(bytes(128) + b"DICM" + bytes(500))
    assert "x.dcm" in refusal(tmp_path / "x.dcm")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken.svs", "broken.svs is no slide or image that histome reads"),
        ("unopenable.tiff", "unopenable.tiff uses TIFF compression 52479, which histome cannot decode"),
        ("unreadable.svs", "unreadable.svs cannot be decoded (Bogus marker length)"),
        ("boxes.tiff", "boxes.tiff does not say its micrometers per pixel; look it up"),
        ("boxes.png", "boxes.png does not say its micrometers per pixel; look it up"),
        ("tcga_tile.png", "tcga_tile.png does not say its micrometers per pixel; look it up"),
    ],
)
def test_bad_real_files(data_dir, name: str, message: str) -> None:
    assert refusal(data_dir(f"slides/{name}")).startswith(message)


def test_damage_is_reported_before_resolution(data_dir) -> None:
    assert "cannot be decoded" in refusal(data_dir("slides/unreadable.svs"), mpp=0.5)


def test_no_mpp_and_implausible_mpp(tmp_path: Path) -> None:
    with pytest.raises(MppError, match=r"a\.tif does not say"):
        open_slide(tiled_tiff(tmp_path / "a.tif", numbered(64, 64), mpp=None))
    with pytest.raises(MppError, match=r"b\.tif says 0\.02 um/px \(TIFF resolution\)"):
        open_slide(tiled_tiff(tmp_path / "b.tif", numbered(64, 64), mpp=0.02))
    assert open_slide(tmp_path / "b.tif", mpp=0.2).mpp.x == 0.2


def test_estimated_mpp_is_opt_in(tmp_path: Path) -> None:
    description = "Aperio Image Library v1\r\n64x64 (64x64)|AppMag = 20"
    path = tiled_tiff(tmp_path / "x.svs", numbered(64, 64), mpp=None, description=description)
    with pytest.raises(MppError, match="--allow-estimated-mpp"):
        open_slide(path)
    assert open_slide(path, allow_estimated_mpp=True).mpp[:4] == (0.5, 0.5, "objective power", True)


def test_unreadable_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiled_tiff(tmp_path / "x.tif", numbered(64, 64))

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert refusal(path).endswith("x.tif cannot be read: Permission denied.")


def test_random_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    """Two hundred damaged copies: each opens and reads, or is refused in one line."""
    rng = np.random.default_rng(0)
    whole = tiled_tiff(
        tmp_path / "x.tif", numbered(150, 130), factors=(1, 2), compression="jpeg"
    ).read_bytes()
    read, refused = 0, []
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(0, len(data) if rng.random() < 0.4 else 400, rng.integers(1, 12)):
            data[at] = rng.integers(256)
        path = tmp_path / "damaged.tif"
        path.write_bytes(data[: rng.integers(8, len(data))] if rng.random() < 0.3 else data)
        try:
            with open_slide(path, mpp=0.5) as slide:
                slide.thumbnail(64)
                read += 1
        except HistomeError as error:
            refused.append(str(error))
    assert min(read, len(refused)) > 20
    assert not [message for message in refused if "\n" in message or "damaged.tif" not in message]
