"""Windows: which are run, what they own, what they read."""

import numpy as np
import pytest
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, drawn_card, ground

from histome.cells.windows import find_in_window, read_window, start_search, tissue_windows
from histome.classes import TISSUE_CLASSES
from histome.errors import ModelError
from histome.slide import ClassMap
from histome.tissue import Tissue


def search_on(array, *, mpp=2.0, size_px=(480, 320)):
    slide = draw(size_px, [])
    return start_search(slide, ClassMap(np.asarray(array, np.uint8), mpp, TISSUE_CLASSES), DrawnNetwork())


def test_only_windows_whose_core_touches_valid_tissue_are_run():
    """480 x 320 px of 0.5 um in cores of 160 px (40 map pixels of 2 um): 3 columns, 2 rows."""
    array = np.zeros((80, 120), np.uint8)
    assert tissue_windows(search_on(array)) == []
    array[39, 40] = TISSUE_CLASSES.index("STROMA") + 1  # the last row of the first windows
    array[40:, 80:] = TISSUE_CLASSES.index("NECROSIS") + 1  # nuclei are looked for in necrosis, too
    found = tissue_windows(search_on(array))
    assert [tile.index for tile, _ in found] == [1, 5]
    assert [mm2 for _, mm2 in found] == pytest.approx([4e-6, 40 * 40 * 4e-6])


def test_the_tissue_of_all_windows_adds_up():
    slide = draw((480, 320), [])
    windows = tissue_windows(start_search(slide, ground(slide).map, DrawnNetwork()))
    assert len(windows) == 6
    assert sum(mm2 for _, mm2 in windows) == pytest.approx(0.24 * 0.16)


def test_a_part_of_the_map_lies_where_it_lies():
    array = np.zeros((80, 120), np.uint8)
    array[45:60, 90:110] = TISSUE_CLASSES.index("STROMA") + 1
    search = search_on(array)
    part = search._replace(tissue=search.tissue.crop(85, 42, 30, 30))
    assert part.tissue.origin_px == (85, 42)
    assert tissue_windows(part) == tissue_windows(search)


def test_a_map_pixel_that_lies_across_a_border_counts_for_both():
    array = np.zeros((23, 35), np.uint8)  # 7 um: cores end at 80 um, inside column 11
    array[2, 11] = 1
    assert [tile.index for tile, _ in tissue_windows(search_on(array, mpp=7.0))] == [0, 1]


def test_a_window_reads_its_halo_and_white_outside():
    slide = draw((480, 320), [Ellipse(90.0, 90.0)])
    search = start_search(slide, ground(slide).map, DrawnNetwork())
    pixels = read_window(search, search.grid[0])
    assert pixels.shape == (256, 256, 3)
    assert (pixels[:48] == 255).all()
    np.testing.assert_array_equal(pixels[48:, 48:], slide.read(0, 0, size=(208, 208)))


def test_a_window_reads_the_lattice_of_oblong_pixels():
    slide = draw((960, 320), [Ellipse(90.0, 90.0)], mpp=(0.25, 0.5))
    search = start_search(slide, ground(slide).map, DrawnNetwork())
    assert search.grid.extent_px == (480, 320)
    pixels = read_window(search, search.grid[1])
    rows, columns = np.nonzero(pixels[..., 1] < 128)
    # At 90 um = 180 px of the lattice; the window begins at 160 - 48 px across and -48 px down.
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((68, 228), abs=0.2)


def test_a_window_gives_its_own_nuclei_and_those_just_beyond_its_core():
    """Core 0-160 px; the margin for foreign nuclei is a quarter of the halo of 48 px = 6 um."""
    places = {"own": 40.0, "own at the seam": 78.0, "foreign": 84.0, "far": 92.0}
    slide = draw((480, 320), [Ellipse(x, 20.0 + 15 * n, 3, 3) for n, x in enumerate(places.values())])
    search = start_search(slide, ground(slide).map, DrawnNetwork())
    nuclei = find_in_window(search, search.grid[0])
    order = np.argsort(nuclei.shape[:, 0])
    assert nuclei.shape[order, 0] == pytest.approx([40, 78, 84], abs=0.2)
    assert nuclei.owner[order].tolist() == [0, 0, 1]
    assert nuclei.at_seam[order].tolist() == [False, True, True]


def test_nuclei_know_the_tissue_they_lie_in_blood_too():
    slide = draw((160, 160), [Ellipse(20, 20), Ellipse(60, 60)])
    array = np.full((40, 40), TISSUE_CLASSES.index("CARCINOMA") + 1, np.uint8)
    array[20:] = TISSUE_CLASSES.index("BLOOD") + 1
    search = start_search(slide, Tissue.of(ClassMap(array, 2.0, TISSUE_CLASSES)).map, DrawnNetwork())
    nuclei = find_in_window(search, search.grid[0])
    assert [TISSUE_CLASSES[code - 1] for code in sorted(nuclei.tissue.tolist())] == ["CARCINOMA", "BLOOD"]


def test_the_card_sets_the_threshold():
    slide = draw((160, 160), [Ellipse(20, 20)])
    strict = drawn_card(thresholds=drawn_card().thresholds.model_copy(update={"prob": 0.95}))
    search = start_search(slide, ground(slide).map, DrawnNetwork(strict))
    assert len(find_in_window(search, search.grid[0]).score) == 0


def test_a_window_of_no_numbers_is_refused_and_not_without_nuclei():
    class Wrong(DrawnNetwork):
        def __call__(self, image):
            outputs = dict(super().__call__(image))
            outputs["prob"] = np.full_like(outputs["prob"], np.nan)
            return outputs

    slide = draw((480, 320), [Ellipse(90.0, 90.0)])
    search = start_search(slide, ground(slide).map, Wrong())
    with pytest.raises(ModelError, match="output 'prob' holds values that are not finite"):
        find_in_window(search, search.grid[0])
