import gc
import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from histome.errors import HistomeError, OutputError
from histome.slide.maps import ClassMap, FiledMap, ProbabilityMap
from histome.slide.mpp import Frame

CLASSES = ("FIRST", "SECOND", "THIRD")


def blocks(height: int = 700, width: int = 900) -> ClassMap:
    """A map of three upright bands, 0 at the left."""
    array = np.zeros((height, width), np.uint8)
    for code in (1, 2, 3):
        array[:, 200 * code :] = code
    return ClassMap(array, 2.0, CLASSES)


def test_masks_and_areas() -> None:
    made = blocks()
    assert made.code("SECOND") == 2
    assert made.mask("SECOND").sum() == 700 * 200
    assert made.area_um2("SECOND") == 700 * 200 * 4.0
    assert made.area_um2("THIRD") == 700 * 300 * 4.0
    with pytest.raises(KeyError, match="no class 'FOURTH' among FIRST"):
        made.mask("FOURTH")


def test_lookup_is_by_the_pixel_that_covers_the_point() -> None:
    made = blocks()
    x = [0.0, 399.999, 400.0, 799.99, 800.0, 1799.99, 1800.0, -0.01]
    assert made.at(x, [0.0] * 8).tolist() == [0, 0, 1, 1, 2, 3, 0, 0]
    assert made.at(1000.0, 1399.9) == 2
    assert made.at(1000.0, 1400.0) == 0
    assert made.at(np.full((2, 3), 900.0), 5.0 + np.zeros((2, 3))).tolist() == [[2] * 3] * 2


def test_saved_and_loaded(tmp_path: Path) -> None:
    made = blocks()
    made.save(tmp_path / "map.ome.tif")
    loaded = ClassMap.load(tmp_path / "map.ome.tif")
    assert np.array_equal(loaded.array, made.array)
    assert (loaded.mpp, loaded.classes) == (2.0, CLASSES)


def test_a_filed_map_is_the_map_and_holds_no_pixels(tmp_path: Path) -> None:
    frame = Frame("slide", (900, 700), (0.25, 0.25))
    array = np.random.default_rng(3).integers(0, 3, (70, 90)).astype(np.uint8)
    whole = ClassMap(array, 2.0, ("a", "b"), (7, 5), frame)
    whole.save(tmp_path / "map.ome.tif")
    filed = FiledMap(tmp_path / "map.ome.tif")
    assert (filed.mpp, filed.classes, filed.origin_px, filed.frame) == (2.0, ("a", "b"), (7, 5), frame)
    assert not [kept for kept in vars(filed).values() if isinstance(kept, np.ndarray)]
    x, y = np.random.default_rng(4).uniform(0, 250, (2, 50))
    assert filed.at(x, y).tolist() == whole.at(x, y).tolist()
    assert filed.areas_px().tolist() == whole.areas_px().tolist()
    part = filed.crop(10, 20, 30, 40)
    assert (part.array.tolist(), part.origin_px) == (array[20:60, 10:40].tolist(), (17, 25))
    assert filed.in_memory().array.tolist() == array.tolist()
    assert whole.in_memory() is whole


def test_a_filed_map_that_is_gone_or_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.ome.tif").write_bytes(b"nothing")
    with pytest.raises(HistomeError, match="is not a class map that histome wrote"):
        FiledMap(tmp_path / "map.ome.tif")


def test_file_is_a_tiled_pyramidal_ome_tiff(tmp_path: Path) -> None:
    blocks().save(tmp_path / "map.ome.tif")
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as tiff:
        assert tiff.is_ome
        levels = tiff.series[0].levels
        assert [level.shape for level in levels] == [(700, 900), (350, 450)]
        assert all(level.keyframe.is_tiled and level.dtype == np.uint8 for level in levels)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeY"]) == (2.0, 2.0)
        # Codes are never mixed on the way down.
        assert set(np.unique(levels[1].asarray())) == {0, 1, 2, 3}


def test_file_opens_in_openslide(tmp_path: Path) -> None:
    blocks().save(tmp_path / "map.ome.tif")
    with openslide.OpenSlide(tmp_path / "map.ome.tif") as slide:
        assert slide.dimensions == (900, 700)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(2.0)


def test_equal_maps_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.ome.tif", "b.ome.tif"):
        blocks().save(tmp_path / name)
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (513, 2), (256, 256)])
def test_odd_sizes_survive(tmp_path: Path, shape: tuple[int, int]) -> None:
    array = np.random.default_rng(0).integers(0, 4, shape, dtype=np.uint8)
    ClassMap(array, 0.37, CLASSES).save(tmp_path / "map.ome.tif")
    loaded = ClassMap.load(tmp_path / "map.ome.tif")
    assert np.array_equal(loaded.array, array)
    assert loaded.mpp == 0.37


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros(3, np.uint8), np.full((2, 2), 4, np.uint8)])
def test_what_is_no_class_map_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a class map is|is beyond the 3 classes"):
        ClassMap(array, 1.0, CLASSES)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no map")
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((5, 5), np.uint8))
    tifffile.imwrite(tmp_path / "other.ome.tif", np.zeros((5, 5), np.uint8))
    for name in ("text.tif", "plain.tif", "other.ome.tif"):
        with pytest.raises(HistomeError, match=rf"{name} is not a class map that histome wrote"):
            ClassMap.load(tmp_path / name)


def test_probabilities_survive_and_are_rounded(tmp_path: Path) -> None:
    made = ProbabilityMap.empty((600, 1100), 2.0, CLASSES)
    made.array[1, 100:200, 500:700] = 128
    assert made.array.shape == (3, 600, 1100)
    assert made.array.dtype == np.uint8
    made.save(tmp_path / "p.zarr")
    loaded = ProbabilityMap.load(tmp_path / "p.zarr")
    assert (loaded.mpp, loaded.classes) == (2.0, CLASSES)
    assert np.array_equal(loaded.array[:], made.array[:])
    plane = loaded.probability("SECOND")
    assert plane.dtype == np.float32
    assert (plane[150, 600], plane[99, 600]) == (pytest.approx(128 / 255), 0)


def test_probabilities_stay_compressed_in_memory() -> None:
    made = ProbabilityMap.empty((4096, 4096), 2.0, CLASSES)
    made.array[0, :512] = 255
    assert made.array.nbytes == 3 * 4096**2
    assert made.array.nbytes_stored() < 200_000


def test_probability_folder_is_plain_zarr(tmp_path: Path) -> None:
    ProbabilityMap.empty((10, 10), 2.0, CLASSES).save(tmp_path / "p.zarr")
    metadata = json.loads((tmp_path / "p.zarr" / "zarr.json").read_text())
    assert metadata["attributes"] == {"mpp": 2.0, "classes": list(CLASSES)}


def test_missing_probabilities_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistomeError, match="is not a probability map"):
        ProbabilityMap.load(tmp_path / "none.zarr")


def test_a_part_of_a_map_lies_where_it_lay(tmp_path: Path) -> None:
    whole = ClassMap(np.arange(48, dtype=np.uint8).reshape(6, 8), 2.0, tuple(map(str, range(1, 49))))
    part = whole.crop(3, 2, 4, 100)
    assert part.origin_px == (3, 2)
    assert part.array.shape == (4, 4)
    x_um, y_um = np.meshgrid(np.arange(0, 16) + 0.5, np.arange(0, 12) + 0.5)
    inside = (x_um >= 6) & (x_um < 14) & (y_um >= 4)
    assert (part.at(x_um, y_um) == np.where(inside, whole.at(x_um, y_um), 0)).all()
    again = part.crop(-1, 1, 3, 2)
    assert (again.origin_px, again.array.tolist()) == ((3, 3), whole.array[3:5, 3:5].tolist())
    part.save(tmp_path / "part.ome.tif")
    assert ClassMap.load(tmp_path / "part.ome.tif").origin_px == (3, 2)


def test_pixels_at_the_border_of_the_picture_count_by_their_share(tmp_path: Path) -> None:
    """A picture of 13 x 9 px of 0.5 um holds 6.5 x 4.5 um: 4 x 3 pixels of 2 um, the last ones cut."""
    array = np.array([[1, 1, 2, 2], [1, 1, 2, 3], [3, 3, 3, 3]], np.uint8)
    frame = Frame("picture", (13, 9), (0.5, 0.5))
    made = ClassMap(array, 2.0, CLASSES, frame=frame)
    assert made.area_um2("FIRST") == 16.0
    assert made.area_um2("SECOND") == 4.0 + 4.0 + 1.0
    assert made.areas_px().sum() * 4 == 6.5 * 4.5
    assert made.areas_px(within=made).sum() * 4 == 6.5 * 4.5
    np.testing.assert_array_equal(made.areas_px(within=made).sum(axis=1), made.areas_px())
    part = made.crop(2, 1, 2, 2)
    assert part.area_um2("THIRD") == 1.0 + 1.0 + 0.25
    made.save(tmp_path / "map.ome.tif")
    part.save(tmp_path / "part.ome.tif")
    assert ClassMap.load(tmp_path / "map.ome.tif").frame == frame
    assert ClassMap.load(tmp_path / "part.ome.tif").area_um2("THIRD") == part.area_um2("THIRD")


def test_probabilities_that_the_disk_does_not_take_are_one_line(monkeypatch):
    probabilities = ProbabilityMap.empty((30, 20), 2.0, ("A", "B"))
    (probabilities.array.store.root / "c" / "1" / "0" / "0").mkdir(parents=True)  # where the chunk goes
    with pytest.raises(OutputError, match="TMPDIR") as caught:
        probabilities.put(1, slice(0, 30), np.ones((30, 20), np.uint8))
    assert "\n" not in str(caught.value)


def test_the_folder_of_probabilities_goes_with_them():
    probabilities = ProbabilityMap.empty((30, 20), 2.0, ("A", "B"))
    probabilities.put(0, slice(0, 30), np.ones((30, 20), np.uint8))
    folder = probabilities.array.store.root
    assert folder.is_dir()
    del probabilities
    gc.collect()
    assert not folder.exists()
