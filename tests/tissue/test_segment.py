import numpy as np
import pytest
import shapely
from helpers.drawn_tissue import glass, tissue_texture, write_field
from helpers.phantoms import numbered, tiled_tiff
from helpers.tissue_models import MeanColor

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.config import QcConfig, TissueConfig
from histome.errors import ModelError, NoTissueError
from histome.geometry.interest import RegionsOfInterest
from histome.geometry.shapes import Shapes
from histome.models.blended import blended_rows, fade_px, window_lattice
from histome.qc import Quality, assess
from histome.qc.stain import Stain
from histome.slide import ClassMap, open_slide
from histome.slide.plain import array_slide
from histome.tissue import segment_tissue
from histome.tissue.segment import PROBABILITY_CHUNK_PX

VALID = QC_CLASSES.index("VALID_TISSUE") + 1


def quality_of(slide, valid=None):
    codes = np.full(slide.shape_at(8.0), VALID, np.uint8)
    if valid is not None:
        codes[~valid] = QC_CLASSES.index("NO_TISSUE") + 1
    map_ = ClassMap(codes, 8.0, QC_CLASSES)
    mpp = (slide.mpp.x, slide.mpp.y)
    planes = np.zeros((1, 1), np.float32), np.zeros(codes.shape, np.uint16)
    return Quality(map_, *planes, (243.0,) * 3, True, 0.5, slide.extent_um, mpp, Stain())


@pytest.fixture
def slide(tmp_path):
    path = tiled_tiff(tmp_path / "s.tif", numbered(611, 777), mpp=0.5, tile=64)
    with open_slide(path) as opened:
        yield opened


def test_windows_leave_no_seam(slide):
    wide = segment_tissue(slide, quality_of(slide), MeanColor(window_px=512), TissueConfig())
    for changes in (
        {"window_px": 96, "halo_px": 16},
        {"window_px": 64, "halo_px": 0},
        {"window_px": 200, "halo_px": 30},
    ):
        other = segment_tissue(slide, quality_of(slide), MeanColor(**changes), TissueConfig())
        assert np.array_equal(other.map.array, wide.map.array)
        assert np.array_equal(np.asarray(other.probabilities.array), np.asarray(wide.probabilities.array))


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_a_window_without_probabilities_is_refused(slide, value):
    class Wrong(MeanColor):
        def __call__(self, image):
            planes = super().__call__(image)["probabilities"]
            return {"probabilities": np.full_like(planes, value) if self.windows == 3 else planes}

    with pytest.raises(ModelError, match="test: output 'probabilities' "):
        segment_tissue(slide, quality_of(slide), Wrong(), TissueConfig())


class Stairs(MeanColor):
    """Window k (they are run in order) says that class 0 is k / 4 likely."""

    def __call__(self, image):
        planes = np.zeros_like(super().__call__(image)["probabilities"])
        planes[:, 0] = (self.windows - 1) / 4
        return {"probabilities": planes}


def test_windows_fade_into_each_other(tmp_path):
    # Two rows of two windows; cores of 96 px are 48 of the map, half a halo to either side is 4 of them.
    slide = write_field(tmp_path / "four.png", numbered(192, 192), 1.0)
    tissue = segment_tissue(slide, quality_of(slide), Stairs(window_px=128, halo_px=16), TissueConfig())
    found = np.asarray(tissue.probabilities.array)[0].astype(int)
    corners = np.array([[0, 64], [128, 191]])
    assert np.array_equal(found[[0, -1]][:, [0, -1]], corners)
    assert np.array_equal(found[:44], np.broadcast_to(found[0], (44, 96)))
    across = found[0]
    assert (across[:44] == 0).all()
    assert (across[52:] == 64).all()
    assert (np.diff(across) >= 0).all()
    # Halfway between the cores the two windows weigh the same.
    assert across[47] + across[48] == pytest.approx(64, abs=1)
    assert found[47:49, 47:49].mean() == pytest.approx(corners.mean(), abs=1)


@pytest.mark.parametrize(("side", "halo"), [(24, 6), (16, 0)])
def test_rows_that_are_finished_as_windows_come_are_the_sums_over_the_whole_slide(rng, side, halo):
    class Noise(MeanColor):
        def __call__(self, image):
            planes = np.zeros_like(super().__call__(image)["probabilities"])
            planes[:] = rng.random(planes.shape)
            made.append(np.rint(planes[0] * 255).astype(np.uint8))
            return {"probabilities": planes}

    network, made = Noise(window_px=2 * side, halo_px=2 * halo), []
    slide = array_slide(numbered(150, 310), network.card.mpp)
    lattice = window_lattice(slide, network.card)
    wanted = [tile for tile in lattice if rng.random() < 0.5]  # rows with gaps, at their ends too
    found = np.concatenate(list(blended_rows(slide, network, wanted)), axis=1)

    core, fade = side - 2 * halo, fade_px(network.card) // 2
    up = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * fade) + 0.5) / max(1, 2 * fade))
    rise = np.rint(16 * up)
    ramp = np.concatenate([rise, np.full(core - 2 * fade, 16), 16 - rise])
    margin = side  # windows reach beyond the slide
    height, width = found.shape[1:]
    sums = np.zeros((len(found), height + 2 * margin, width + 2 * margin))
    weights = np.zeros(sums.shape[1:])
    for planes, tile in zip(made, wanted, strict=True):
        inner = planes[:, halo - fade : side - halo + fade, halo - fade : side - halo + fade]
        rows, columns = (slice(at := edge // 2 - fade + margin, at + len(ramp)) for edge in (tile.y, tile.x))
        sums[:, rows, columns] += ramp[:, None] * ramp * inner
        weights[rows, columns] += ramp[:, None] * ramp
    inside = (slice(margin, margin + height), slice(margin, margin + width))
    weight = np.maximum(weights[inside], 1)
    assert np.array_equal(found, (sums[:, *inside] + weight // 2) // weight)


def test_a_window_without_tissue_takes_no_weight(tmp_path):
    slide = write_field(tmp_path / "two.png", numbered(96, 192), 1.0)
    valid = np.zeros(slide.shape_at(8.0), bool)
    valid[:, :12] = True
    tissue = segment_tissue(slide, quality_of(slide, valid), Stairs(), TissueConfig())
    assert not np.asarray(tissue.probabilities.array)[0].any()
    tissue = segment_tissue(slide, quality_of(slide, ~valid), MeanColor(), TissueConfig())
    whole = segment_tissue(slide, quality_of(slide), MeanColor(), TissueConfig())
    right = (slice(None), slice(None), slice(48, None))
    assert np.array_equal(*(np.asarray(t.probabilities.array)[right] for t in (tissue, whole)))


def test_windows_that_are_cut_to_the_tissue_give_the_same_map_for_fewer_pixels(slide):
    shape = slide.shape_at(8.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    valid = (rows - 12) ** 2 + (columns - 20) ** 2 < 10**2
    valid[2:4, 40:43] = True
    networks = [MeanColor(halo_px=16, cut_px=cut) for cut in (0, 32)]
    whole, cut = (segment_tissue(slide, quality_of(slide, valid), n, TissueConfig()) for n in networks)
    assert np.array_equal(cut.map.array, whole.map.array)
    inside = whole.map.array > 0
    assert inside.any()
    assert np.array_equal(*(np.asarray(t.probabilities.array)[:, inside] for t in (cut, whole)))
    assert networks[1].windows == networks[0].windows
    assert networks[1].px < 0.8 * networks[0].px


def test_workers_change_nothing(slide):
    results = [
        segment_tissue(slide, quality_of(slide), MeanColor(), TissueConfig(), workers=n) for n in (1, 3)
    ]
    assert np.array_equal(*(np.asarray(r.probabilities.array) for r in results))
    assert np.array_equal(*(r.map.array for r in results))


def test_the_map_is_the_most_probable_class_of_valid_tissue(slide):
    shape = slide.shape_at(8.0)
    valid = np.zeros(shape, bool)
    valid[5:20, 10:30] = True
    network = MeanColor()
    tissue = segment_tissue(slide, quality_of(slide, valid), network, TissueConfig())
    assert tissue.map.mpp == 2.0
    assert tissue.map.array.shape == slide.shape_at(2.0)
    planes = np.asarray(tissue.probabilities.array)
    inside = np.kron(valid, np.ones((4, 4), bool))[: planes.shape[1], : planes.shape[2]]
    assert np.array_equal(tissue.map.array > 0, inside)
    assert np.array_equal(tissue.map.array[inside], planes.argmax(axis=0)[inside] + 1)
    # Cores of 96 um: rows 40-160 and columns 80-240 um touch 2 x 3 of them.
    assert network.windows == 6


def test_probabilities_fill_more_than_one_row_of_chunks(tmp_path):
    height = 2 * (PROBABILITY_CHUNK_PX + 70)
    path = tiled_tiff(tmp_path / "tall.tif", numbered(height, 90), mpp=1.0, tile=64)
    with open_slide(path) as slide:
        tissue = segment_tissue(slide, quality_of(slide), MeanColor(), TissueConfig())
        mean = (
            slide.read(0, 0, size=(90, height), mpp=1.0).reshape(height // 2, 2, 45, 2, 3).mean(axis=(1, 3))
            / 255
        )
    mix = np.random.default_rng(0).dirichlet(np.ones(3), 7)
    expected = np.rint(255 * np.einsum("kc,ijc->kij", mix, mean)).astype(int)
    assert np.abs(np.asarray(tissue.probabilities.array).astype(int) - expected).max() <= 1


def test_beyond_the_edges_the_network_sees_a_mirror_image(tmp_path):
    seen = []

    class Watching(MeanColor):
        def __call__(self, image):
            seen.append(image[0].copy())
            return super().__call__(image)

    pixels = numbered(40, 50)
    slide = write_field(tmp_path / "small.png", pixels, 1.0)
    segment_tissue(slide, quality_of(slide), Watching(), TissueConfig())
    assert np.array_equal(seen[0], np.pad(pixels, ((16, 72), (16, 62), (0, 0)), mode="symmetric"))


def test_only_valid_tissue_gets_a_class(tmp_path):
    image = glass(800, 1000)
    image[200:600, 100:500] = tissue_texture(400, 400, mpp=1.0)
    slide = write_field(tmp_path / "square.png", image, 1.0)
    quality = assess(slide, QcConfig())
    tissue = segment_tissue(slide, quality, MeanColor(window_px=256), TissueConfig())
    assert not tissue.map.array[:80].any()
    assert (tissue.map.array[110:290, 60:240] > 0).all()


class Bright(MeanColor):
    """Finds carcinoma where the slide is bright, stroma elsewhere."""

    def __call__(self, image):
        bright = image[:, ::2, ::2, 0] / 255
        planes = np.zeros((1, len(TISSUE_CLASSES), *bright.shape[1:]), np.float32)
        planes[:, TISSUE_CLASSES.index("CARCINOMA")] = bright
        planes[:, TISSUE_CLASSES.index("STROMA")] = 1 - bright
        return {"probabilities": planes}


def test_holes_of_the_tumor_are_filled_as_far_as_the_settings_say(tmp_path):
    image = np.full((1000, 1000, 3), 200, np.uint8)
    image[300:700, 300:700] = 50
    slide = write_field(tmp_path / "hole.png", image, 1.0)
    network = Bright(window_px=256)
    for mm2, zone in ((0.2, "INNER_INVASIVE_MARGIN"), (0.1, "OUTER_INVASIVE_MARGIN")):
        tissue = segment_tissue(slide, quality_of(slide), network, TissueConfig(largest_hole_mm2=mm2))
        assert tissue.zones.classes[tissue.zones.array[250, 250] - 1] == zone


def regions_of(*boxes_um):
    shapes = np.array([shapely.box(*box) for box in boxes_um], object)
    names = np.array([f"r{k}" for k in range(len(shapes))], object)
    return RegionsOfInterest(Shapes(shapes, names), ("",) * len(shapes), shapely.union_all(shapes))


@pytest.mark.parametrize("cut_px", [0, 32])
def test_in_regions_the_map_is_that_of_the_slide_and_no_window_runs_outside(slide, cut_px):
    """To the pixel of 2 um, though quality is known to 8 um: its pixels may lie partly in a region."""
    whole_model, model = (MeanColor(window_px=96, halo_px=16, cut_px=cut) for cut in (0, cut_px))
    whole = segment_tissue(slide, quality_of(slide), whole_model, TissueConfig())
    regions = regions_of((11.0, 21.0, 43.0, 79.0), (290.0, 30.0, 330.0, 50.0))
    valid = regions.mask(slide.shape_at(8.0), mpp=8.0)
    quality = quality_of(slide)
    quality.map.array[~valid] = 0
    done = []
    part = segment_tissue(
        slide, quality, model, TissueConfig(), regions=regions, progress=lambda *at: done.append(at)
    )
    inside = regions.mask(part.map.array.shape, mpp=2.0)
    np.testing.assert_array_equal(part.map.array, np.where(inside, whole.map.array, 0))
    assert inside.sum() == 16 * 29 + 20 * 10
    # Cores are 64 um wide: the first region touches two of them, the second two more.
    assert (model.windows, whole_model.windows) == (4, 7 * 5)
    assert (model.px < 4 * 96**2) == (cut_px > 0)
    assert done[-1] == (part.map.array.shape[0],) * 2
    assert done == sorted(set(done))


def test_in_regions_quality_is_that_of_the_slide(tmp_path):
    rgb = np.concatenate([tissue_texture(600, 600, mpp=1.0), glass(600, 600)], axis=1)
    regions = regions_of((100.0, 100.0, 400.0, 300.0), (700.0, 100.0, 900.0, 200.0))
    with write_field(tmp_path / "half.png", rgb, 1.0) as field:
        whole, part = assess(field, QcConfig()), assess(field, QcConfig(), regions)
        inside = regions.mask(part.map.array.shape, mpp=8.0)
        np.testing.assert_array_equal(part.map.array, np.where(inside, whole.map.array, 0))
        assert part.map.area_um2("VALID_TISSUE") == pytest.approx(300 * 200, rel=0.05)
        # Focus is looked for in tissue of the regions alone.
        assert 0 < np.isfinite(part.focus).sum() < 0.4 * np.isfinite(whole.focus).sum()
        with pytest.raises(
            NoTissueError, match=r"half.png: no valid tissue found in the regions of interest"
        ):
            assess(field, QcConfig(), regions_of((700.0, 100.0, 900.0, 200.0)))
