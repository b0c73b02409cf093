"""The phantom is what its truth says: nuclei, tissues, artifacts, levels; and no seam shows."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import shapely
from helpers.phantoms import small_phantom
from scipy import ndimage

from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES
from histome.phantom import PhantomTruth, draw_phantom, paint_field
from histome.phantom.layout import make_layout
from histome.phantom.nuclei import NAMES, make_nuclei
from histome.phantom.paint import PhantomScene, paint_block
from histome.phantom.pyramid import BLOCK_PX, write_pyramid
from histome.phantom.texture import make_textures
from histome.slide import open_slide
from histome.slide.stain import hematoxylin_eosin_od, to_od

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> PhantomTruth:
    """A phantom of 1 x 0.9 mm with all tissues but, by its size, necrosis."""
    path = tmp_path_factory.mktemp("phantom") / "phantom.tif"
    return small_phantom(path, seed=3, size_px=(2048, 1800), tissue_share=0.45)


@pytest.fixture(scope="module")
def pixels(truth: PhantomTruth) -> np.ndarray:
    with open_slide(truth.path) as slide:
        return slide.read(0, 0, size=slide.size_px)


def code(name: str) -> int:
    classes = QC_CLASSES if name in QC_CLASSES else TISSUE_CLASSES
    return classes.index(name) + 1


def test_file_is_a_pyramid_with_a_resolution(truth: PhantomTruth) -> None:
    with open_slide(truth.path) as slide:
        assert slide.size_px == (2048, 1800)
        assert [level[:3] for level in slide.reader.levels] == [(2048, 1800, 1.0), (512, 450, 4.0)]
        assert slide.mpp[:3] == pytest.approx((0.5, 0.5, "TIFF resolution"))
        fine = slide.read(0, 0, size=(2048, 1800)).reshape(450, 4, 512, 4, 3).mean(axis=(1, 3))
        coarse = slide.reader.read(1, 0, 0, 512, 450)
    # Both levels are JPEG with halved chroma.
    assert np.abs(fine - coarse).mean() < 4
    assert abs((fine - coarse).mean()) < 0.5


def test_classes_are_those_of_histome(truth: PhantomTruth) -> None:
    assert NAMES == CELL_CLASSES
    counts = truth.cells.counts(valid_only=False)
    assert sum(counts.values()) == len(truth.cells) > 500
    assert {name for name, n in counts.items() if n == 0} <= {"other"}
    assert sum(truth.cells.counts().values()) == truth.cells.valid.sum() < len(truth.cells)


def test_nuclei_are_drawn_where_the_truth_says(truth: PhantomTruth, pixels: np.ndarray) -> None:
    """Hematoxylin inside every outline is denser than round it."""
    hematoxylin = hematoxylin_eosin_od(pixels)[..., 0]
    cells = truth.cells
    inside, outside = [], []
    for polygon in cells.polygons_px[cells.valid]:
        # Corner convention: the pixel that covers a point has its integer part as index.
        columns, rows = np.floor(polygon).astype(int).T
        box = np.s_[rows.min() - 4 : rows.max() + 5, columns.min() - 4 : columns.max() + 5]
        y, x = np.mgrid[box] + 0.5
        mask = shapely.contains_xy(shapely.Polygon(polygon), x, y)
        ring = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask, iterations=2)
        inside.append(hematoxylin[box][mask].mean())
        outside.append(np.median(hematoxylin[box][ring]))
    assert np.mean(np.array(inside) > np.array(outside) + 0.1) > 0.99
    # Moved by 4 um (8 px) the outlines miss.
    assert np.mean(inside) > 2 * np.mean(outside)


def test_outlines_hold_their_centers_and_do_not_overlap(truth: PhantomTruth) -> None:
    cells = truth.cells
    outlines = shapely.polygons(cells.polygons_px.astype(float))
    assert shapely.is_valid(outlines).all()
    assert shapely.contains_xy(outlines, cells.x_px, cells.y_px).all()
    overlap = shapely.area(outlines).sum() / shapely.area(shapely.union_all(outlines)) - 1
    assert overlap < 0.005


def test_sizes_are_those_of_nuclei(truth: PhantomTruth) -> None:
    cells = truth.cells
    areas = shapely.area(shapely.polygons(cells.polygons_px.astype(float))) * 0.25
    medians = {
        name: np.median(areas[cells.classes == name]) for name in CELL_CLASSES if name in cells.classes
    }
    assert 28 < medians["lymphocyte"] < 40
    assert medians["carcinoma_cell"] > 1.8 * medians["lymphocyte"]
    assert all(15 < median < 110 for median in medians.values())


def test_no_cells_where_there_are_none(truth: PhantomTruth) -> None:
    assert not {"NECROSIS", "BLOOD", ""} & set(truth.cells.tissues.tolist())
    assert set(truth.cells.tissues[truth.cells.classes == "carcinoma_cell"].tolist()) == {"CARCINOMA"}
    assert set(truth.cells.tissues[truth.cells.classes == "epithelial_cell"].tolist()) == {
        "EPITHELIAL_TISSUE"
    }


def test_maps_agree_with_the_pixels(truth: PhantomTruth, pixels: np.ndarray) -> None:
    quality = truth.qc_map(0.5)
    assert quality.shape == pixels.shape[:2]
    glass = pixels[quality == code("NO_TISSUE")]
    assert np.mean(glass.min(axis=1) > 225) > 0.99
    pen = pixels[quality == code("MARKER")].astype(int)
    assert np.mean(pen[:, 0] < pen[:, 2]) > 0.97
    tissue = to_od(pixels).mean(axis=-1)
    valid = tissue[quality == code("VALID_TISSUE")].mean()
    assert tissue[quality == code("TISSUE_ARTIFACT")].mean() > 1.2 * valid


def test_blur_is_where_the_map_says(truth: PhantomTruth, pixels: np.ndarray) -> None:
    edges = np.abs(ndimage.laplace(pixels[..., 1].astype(float)))
    quality = ndimage.grey_erosion(truth.qc_map(0.5), 1)
    blurred = ndimage.binary_erosion(quality == code("OUT_OF_FOCUS"), iterations=20)
    sharp = ndimage.binary_erosion(quality == code("VALID_TISSUE"), iterations=20)
    assert blurred.sum() > 5000
    assert edges[blurred].mean() < 0.5 * edges[sharp].mean()


def test_areas_are_those_of_the_map(truth: PhantomTruth) -> None:
    fine = np.bincount(truth.tissue_map(0.5).ravel(), minlength=8)[1:] * 0.25
    for name, area in zip(TISSUE_CLASSES, fine, strict=True):
        assert truth.tissue_area_um2[name] == pytest.approx(area, rel=0.02, abs=200)
    every = truth.tissue_map(2.0, valid_only=False)
    assert np.count_nonzero(every) > np.count_nonzero(truth.tissue_map(2.0))
    assert {
        code("CARCINOMA"),
        code("STROMA"),
        code("EPITHELIAL_TISSUE"),
        code("OTHER"),
        code("VESSEL"),
    } <= set(np.unique(every).tolist())


def test_same_generator_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        small_phantom(tmp_path / name, seed=7, size_px=(600, 500))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_blocks_meet_without_a_seam() -> None:
    """The same pixels painted as parts of different blocks are the same."""
    rng = np.random.default_rng(2)
    layout = make_layout(rng, (600.0, 600.0), tissue_share=0.5, artifacts=True)
    textures = make_textures(rng, 0.5)
    scene = PhantomScene(layout, make_nuclei(rng, layout, textures, 0.5), textures, 0.5)
    whole = paint_block(scene, 256, 256, 512)
    part = paint_block(scene, 512, 384, 256)
    assert whole is not None
    assert part is not None
    difference = np.abs(whole[128:384, 256:512].astype(int) - part)
    assert np.percentile(difference, 99.9) <= 1
    assert difference.max() <= 12


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_share_of_tissue_is_about_what_was_asked(share: float) -> None:
    layout = make_layout(np.random.default_rng(4), (20_000.0, 15_000.0), tissue_share=share, artifacts=False)
    x, y = np.arange(10.0, 20_000, 20), np.arange(10.0, 15_000, 20)
    assert np.mean(layout.parts(x, y) > 0) == pytest.approx(share, rel=0.3)


def test_resolution_can_be_chosen(tmp_path: Path) -> None:
    coarse = draw_phantom(tmp_path / "a.tif", size_px=(500, 500), mpp=1.0, rng=np.random.default_rng(1))
    with open_slide(coarse.path) as slide:
        assert slide.mpp.x == pytest.approx(1.0)
    areas = shapely.area(shapely.polygons(coarse.cells.polygons_px.astype(float)))
    assert 15 < np.median(areas) < 110


def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    """400 MB of pixels, most of them glass, are written in less than 250."""
    tracemalloc.start()
    draw_phantom(tmp_path / "x.tif", size_px=(16_384, 8192), rng=np.random.default_rng(1), tissue_share=0.01)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250_000_000
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.size_px == (16_384, 8192)
        assert len(slide.broken) == 0
        assert slide.thumbnail(512).shape == (256, 512, 3)


@pytest.mark.parametrize("size", [(4096, 4096), (4500, 2300), (1024, 5000), (700, 300)])
def test_every_level_is_complete(tmp_path: Path, size: tuple[int, int]) -> None:
    """A ramp over the slide, bare glass in one block: each level shows both, to its last tile."""

    def paint(x: int, y: int) -> np.ndarray | None:
        if (x, y) == (0, 0) and max(size) > 1024:
            return None
        columns = 200 * (x + np.arange(BLOCK_PX)) / size[0]
        rows = 200 * (y + np.arange(BLOCK_PX)) / size[1]
        ramp = np.clip((columns[None] + rows[:, None]) / 2, 0, 255)
        return np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)

    write_pyramid(tmp_path / "x.tif", size, 0.5, paint)
    with open_slide(tmp_path / "x.tif") as slide:
        levels = slide.reader.levels
        assert len(levels) == (3 if max(size) > 2048 else 2)
        for number, level in enumerate(levels):
            y, x = np.mgrid[: level.height : 7, : level.width : 7]
            expected = 100 * ((x + 0.5) * level.downsample / size[0] + (y + 0.5) * level.downsample / size[1])
            glass = (x + 1) * level.downsample <= BLOCK_PX
            glass &= (y + 1) * level.downsample <= BLOCK_PX
            read = slide.reader.read(number, 0, 0, level.width, level.height)[::7, ::7, 0]
            if max(size) > 1024:
                assert np.abs(read[glass] - 243.0).mean() < 3
                expected = np.where(glass, read, expected)
            # JPEG, rounding and the slack at the border of the bare block.
            assert np.percentile(np.abs(read - expected), 98) < 4
            assert np.abs(read - expected)[-3:].mean() < 4


def test_a_field_is_the_middle_of_tissue() -> None:
    field, again = (paint_field(300, mpp=1.0, rng=np.random.default_rng(7)) for _ in range(2))
    assert field.shape == (300, 300, 3)
    assert np.array_equal(field, again)
    # The rest is fat and clefts.
    assert (field.min(axis=2) < 225).mean() > 0.8
