"""A slide of drawn nuclei comes back as a table of the same nuclei, whatever the windows and workers."""

import threading

import numpy as np
import pyarrow as pa
import pytest
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, drawn_card, ground

from histome.cells import SCHEMA, find_cells, write_cells
from histome.cells.windows import find_in_window, read_window, start_search, tissue_windows
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import CellsConfig
from histome.errors import ModelError
from histome.slide import ClassMap
from histome.store.files import NUCLEI
from histome.tissue import Tissue

SIZE_PX = (480, 400)


def crowd(rng, *, extent_um=(240.0, 200.0), spacing_um=14.0):
    """Ellipses on a jittered grid that never touch, all over the slide and its seams."""
    columns, rows = (int(side // spacing_um) for side in extent_um)
    return [
        Ellipse(
            spacing_um * (column + 0.5) + rng.uniform(-1, 1),
            spacing_um * (row + 0.5) + rng.uniform(-1, 1),
            rng.uniform(3, 5),
            rng.uniform(2.5, 4),
            rng.uniform(0, np.pi),
            int(rng.integers(0, 9)),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def match(table, ellipses, *, within_um=0.5):
    """Row of the table for each ellipse: the nearest cell, which must be that near."""
    found = np.stack([table["x_um"].to_numpy(), table["y_um"].to_numpy()], axis=1)
    rows = []
    for e in ellipses:
        distance = np.hypot(*(found - (e.x_um, e.y_um)).T)
        assert distance.min() < within_um
        rows.append(int(distance.argmin()))
    assert len(set(rows)) == len(ellipses)
    return rows


def test_a_disc_across_four_windows_is_one_cell_with_the_true_centroid():
    """Cores are 160 px = 80 um: the disc lies on the corner of four."""
    slide = draw(SIZE_PX, [Ellipse(80.0, 80.0, 6.0, 6.0, code=5)])
    table = find_cells(slide, ground(slide), DrawnNetwork())
    assert len(table) == 1
    cell = table.to_pylist()[0]
    assert (cell["x_um"], cell["y_um"]) == pytest.approx((80.0, 80.0), abs=0.1)
    assert (cell["x"], cell["y"]) == pytest.approx((160.0, 160.0), abs=0.2)
    assert cell["area_um2"] == pytest.approx(np.pi * 36, rel=0.03)
    assert cell["perimeter_um"] == pytest.approx(12 * np.pi, rel=0.03)
    assert cell["major_axis_um"] == pytest.approx(12, rel=0.03)
    assert cell["minor_axis_um"] == pytest.approx(12, rel=0.03)
    assert cell["roundness"] > 0.9  # rays end on pixel edges: the outline is a little jagged
    assert cell["class"] == "lymphocyte"


@pytest.mark.parametrize("jump_px", [0, 1, 3])
def test_every_nucleus_is_found_once(jump_px):
    """Also when each window puts nuclei a little elsewhere, which at seams would lose or double them."""
    ellipses = crowd(np.random.default_rng(5))
    slide = draw(SIZE_PX, ellipses)
    network = DrawnNetwork(jump_px=jump_px)
    table = find_cells(slide, ground(slide), network)
    match(table, ellipses, within_um=0.5 + jump_px * np.hypot(0.5, 0.5))
    assert len(table) == len(ellipses)
    # The trial is a hard one: with ownership alone, nuclei are lost or doubled.
    search = start_search(slide, ground(slide).map, network)
    found = [find_in_window(search, tile) for tile in search.grid]
    owned = np.concatenate([nuclei.shape[nuclei.owner == nuclei.window, :2] for nuclei in found])
    distance = np.hypot(*(owned[:, None] - [(e.x_um, e.y_um) for e in ellipses]).transpose(2, 0, 1))
    times = np.bincount(distance.argmin(axis=1), minlength=len(ellipses))
    assert (times != 1).any() == (jump_px > 0)


def test_ellipses_are_measured():
    ellipses = crowd(np.random.default_rng(6), spacing_um=20.0)
    slide = draw(SIZE_PX, ellipses)
    table = find_cells(slide, ground(slide), DrawnNetwork())
    rows = match(table, ellipses)
    get = {name: table[name].to_numpy()[rows] for name in ("area_um2", "major_axis_um", "minor_axis_um")}
    a = np.array([max(e.a_um, e.b_um) for e in ellipses])
    b = np.array([min(e.a_um, e.b_um) for e in ellipses])
    # Pixels of 0.5 um on half axes of 2.5-5 um: within a pixel for each axis, no bias of the area beyond 3 %.
    np.testing.assert_allclose(get["major_axis_um"], 2 * a, atol=0.7)
    np.testing.assert_allclose(get["minor_axis_um"], 2 * b, atol=0.7)
    assert np.mean(get["area_um2"] / (np.pi * a * b)) == pytest.approx(1, abs=0.03)
    classes = np.array(table["class"].to_pylist())[rows]
    assert classes.tolist() == [CELL_CLASSES[e.code] for e in ellipses]


@pytest.fixture(scope="module")
def busy_slide():
    slide = draw(SIZE_PX, crowd(np.random.default_rng(7)))
    return slide, ground(slide)


@pytest.mark.slow
def test_workers_change_no_byte(busy_slide, tmp_path):
    slide, tissue = busy_slide
    for workers in (1, 2, 5):
        table = find_cells(slide, tissue, DrawnNetwork(jump_px=2), workers=workers)
        write_cells(table, tmp_path / f"{workers}.parquet")
    files = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 1


@pytest.mark.slow
def test_windows_of_another_size_find_the_same_cells(busy_slide):
    slide, tissue = busy_slide
    tables = [find_cells(slide, tissue, DrawnNetwork(drawn_card(window_px=size))) for size in (192, 256, 512)]
    assert len({len(table) for table in tables}) == 1
    for other in tables[1:]:
        for name in ("x_um", "y_um", "area_um2"):
            np.testing.assert_allclose(other[name].to_numpy(), tables[0][name].to_numpy(), atol=1e-3)
        assert other["class"].to_pylist() == tables[0]["class"].to_pylist()


class Counting(DrawnNetwork):
    """Counts the pixels that it was asked for."""

    asked = None

    def __call__(self, image, /):
        self.asked.append(image.shape[1] * image.shape[2])
        return super().__call__(image)


@pytest.mark.parametrize("jump_px", [0, 2])
def test_windows_that_are_cut_to_the_tissue_find_the_same_cells_for_fewer_pixels(jump_px):
    slide = draw(SIZE_PX, crowd(np.random.default_rng(3)))
    array = ground(slide).map.array.copy()
    rows, columns = np.mgrid[: array.shape[0], : array.shape[1]]
    array[(rows - 45) ** 2 + (columns - 60) ** 2 > 35**2] = 0
    tissue = Tissue.of(ClassMap(array, 2.0, TISSUE_CLASSES))
    found, px = [], []
    for cut_px in (0, 64):
        network = Counting(drawn_card(cut_px=cut_px), jump_px=jump_px)
        object.__setattr__(network, "asked", [])
        found.append(find_cells(slide, tissue, network))
        px.append(sum(network.asked))
    assert len(found[0]) > 50
    if jump_px == 0:
        assert found[1].equals(found[0])
    assert len(found[1]) == len(found[0])
    assert px[1] < 0.8 * px[0]


class Device(DrawnNetwork):
    """Takes one window at a time, and gives the first back only when the next two were read."""

    def __call__(self, image, /):
        with self.alone:
            if not self.went_on.wait(timeout=30):
                raise TimeoutError("nobody read while the device worked")
            return super().__call__(image)


def test_windows_are_read_while_a_device_works_on_others(monkeypatch):
    """What runs on a GPU waits neither for pixels nor for outlines: threads make both behind its lock."""
    slide = draw(SIZE_PX, crowd(np.random.default_rng(4)))
    expected = find_cells(slide, ground(slide), DrawnNetwork())
    network, reads, went_on = Device(), [], threading.Event()
    object.__setattr__(network, "alone", threading.Lock())
    object.__setattr__(network, "went_on", went_on)

    def read(search, tile):
        reads.append(tile.index)
        if len(reads) == 3:
            went_on.set()
        return read_window(search, tile)

    monkeypatch.setattr("histome.cells.windows.read_window", read)
    assert find_cells(slide, ground(slide), network, workers=3).equals(expected)


def test_oblong_pixels_give_the_same_cells_in_um():
    ellipses = [Ellipse(80.0, 80.0, 6.0, 6.0), Ellipse(40.0, 20.0, 7.0, 4.0)]
    square = draw((480, 400), ellipses)
    oblong = draw((960, 400), ellipses, mpp=(0.25, 0.5))
    a, b = (find_cells(slide, ground(slide), DrawnNetwork()) for slide in (square, oblong))
    assert len(a) == len(b) == 2
    for name in ("x_um", "y_um", "major_axis_um", "minor_axis_um"):
        np.testing.assert_allclose(a[name].to_numpy(), b[name].to_numpy(), atol=0.5)  # one lattice px
    np.testing.assert_allclose(b["area_um2"].to_numpy(), a["area_um2"].to_numpy(), rtol=0.05)
    np.testing.assert_allclose(b["x"].to_numpy(), b["x_um"].to_numpy() / 0.25)


def test_cells_of_necrosis_and_blood_are_found_but_not_counted():
    """A tissue map that errs hides no cell; where nothing was analyzed none is looked for."""
    slide = draw(SIZE_PX, [Ellipse(60, 60), Ellipse(180, 60), Ellipse(60, 160), Ellipse(180, 160)])
    array = np.zeros((100, 120), np.uint8)
    array[:50, :60] = TISSUE_CLASSES.index("VESSEL") + 1
    array[:50, 60:] = TISSUE_CLASSES.index("NECROSIS") + 1
    array[50:, 60:] = TISSUE_CLASSES.index("BLOOD") + 1
    table = find_cells(slide, Tissue.of(ClassMap(array, 2.0, TISSUE_CLASSES)), DrawnNetwork())
    found = list(zip(table["tissue"].to_pylist(), table["counted"].to_pylist(), strict=True))
    assert found == [("VESSEL", True), ("NECROSIS", False), ("BLOOD", False)]


def test_a_cell_that_is_not_counted_is_nobodys_neighbor():
    slide = draw(SIZE_PX, [Ellipse(50, 60, code=5), Ellipse(65, 60, code=5), Ellipse(80, 60, code=5)])
    array = np.full((100, 120), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    array[:, 36:] = TISSUE_CLASSES.index("NECROSIS") + 1
    table = find_cells(slide, Tissue.of(ClassMap(array, 2.0, TISSUE_CLASSES)), DrawnNetwork())
    assert table["counted"].to_pylist() == [True, True, False]
    assert table["n_lymphocyte_20um"].to_pylist() == [1, 1, 1]


def test_windows_are_searched_where_there_is_valid_tissue_and_nowhere_else():
    """So a wider search costs windows where necrosis and blood lie, and none on glass."""
    slide = draw((1600, 400), [])
    array = np.zeros((100, 400), np.uint8)
    array[:, :60] = TISSUE_CLASSES.index("STROMA") + 1
    array[:, 60:140] = TISSUE_CLASSES.index("NECROSIS") + 1
    search = start_search(slide, ClassMap(array, 2.0, TISSUE_CLASSES), DrawnNetwork())
    windows = tissue_windows(search)
    held = {tile.index for tile in search.grid if array[:, tile.core.x0 // 4 : -(-tile.core.x1 // 4)].any()}
    assert {tile.index for tile, _ in windows} == held < set(range(len(search.grid)))
    assert sum(mm2 for _, mm2 in windows) == pytest.approx(140 * 100 * 4e-6)


def test_no_tissue_is_an_empty_table_of_the_whole_schema(tmp_path):
    slide = draw(SIZE_PX, [Ellipse(60, 60)])
    tissue = Tissue.of(ClassMap(np.zeros((100, 120), np.uint8), 2.0, TISSUE_CLASSES))
    empty = find_cells(slide, tissue, DrawnNetwork(), workers=2)
    assert len(empty) == 0
    assert empty.schema.equals(SCHEMA)
    write_cells(empty, tmp_path / "cells.parquet")


def test_tissue_without_nuclei_is_an_empty_table():
    slide = draw(SIZE_PX, [])
    assert len(find_cells(slide, ground(slide), DrawnNetwork())) == 0


def test_progress_counts_the_tissue_in_mm2():
    slide = draw(SIZE_PX, [])
    said = []
    find_cells(slide, ground(slide), DrawnNetwork(), progress=lambda *mm2: said.append(mm2))
    done, totals = zip(*said, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == pytest.approx(0.24 * 0.2)
    assert list(totals) == pytest.approx([0.24 * 0.2] * len(totals))


def test_abstention_follows_the_card_and_the_settings():
    slide = draw(SIZE_PX, [Ellipse(60, 60)])
    confidence = np.exp(5) / (np.exp(5) + 8)  # a logit of 5 against eight of 0

    def abstained(config):
        table = find_cells(slide, ground(slide), DrawnNetwork(), config)
        assert table["confidence"].to_pylist() == [pytest.approx(confidence, abs=0.01)]
        return table["abstained"].to_pylist()

    assert abstained(None) == [False]
    assert abstained(CellsConfig(abstain_below=0.99)) == [True]


def test_a_model_of_other_classes_is_refused():
    slide = draw(SIZE_PX, [])
    for card, why in (
        (drawn_card(classes=CELL_CLASSES[:8]), "a stardist has carcinoma_cell, .*, plasma_cell$"),
        (
            drawn_card(task="segmenter"),
            "a segmenter finds no cells; give a stardist or hover or star or flow or seed or basin model",
        ),
    ):
        with pytest.raises(ModelError, match=why):
            find_cells(slide, ground(slide), DrawnNetwork(card))


class FailingNetwork(DrawnNetwork):
    def __call__(self, image, /):
        raise ModelError("the network broke")


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_window_reaches_the_caller_and_leaves_no_thread(workers):
    slide = draw(SIZE_PX, [])
    with pytest.raises(ModelError, match="the network broke"):
        find_cells(slide, ground(slide), FailingNetwork(), workers=workers)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("histome")]


def test_memory_a_cell_is_bounded():
    """What a table of a million cells would hold: under 1 kB a cell."""
    slide = draw(SIZE_PX, crowd(np.random.default_rng(8)))
    table = find_cells(slide, ground(slide), DrawnNetwork())
    assert table.get_total_buffer_size() / len(table) < 1000
    assert isinstance(table["geometry"], pa.ChunkedArray)


class Parts(list):
    """Parts kept in memory; `add` fails, as a kill would end it, once it holds `room` of them."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def load(self):
        return list(self)

    def add(self, part):
        if len(self) == self.room:
            raise KeyboardInterrupt
        self.append(part)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_search_that_was_cut_off_goes_on_and_changes_no_byte(busy_slide, tmp_path, monkeypatch, workers):
    slide, tissue = busy_slide
    monkeypatch.setattr("histome.cells.find.PART_WINDOWS", 2)
    write_cells(find_cells(slide, tissue, DrawnNetwork(jump_px=2)), tmp_path / "whole.parquet")
    kept, searched, told = Parts(room=2), [], []
    with pytest.raises(KeyboardInterrupt):
        find_cells(slide, tissue, DrawnNetwork(jump_px=2), workers=workers, kept=kept)
    kept.room = 100
    with monkeypatch.context() as patch:
        patch.setattr(
            "histome.cells.find.find_in_window",
            lambda search, tile: searched.append(tile.index) or find_in_window(search, tile),
        )
        table = find_cells(
            slide,
            tissue,
            DrawnNetwork(jump_px=2),
            workers=workers,
            kept=kept,
            progress=lambda *mm2: told.append(mm2),
        )
    write_cells(table, tmp_path / "resumed.parquet")
    assert (tmp_path / "resumed.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    # 3 x 3 windows: four were kept, the ninth fills no part.
    assert sorted(searched) == [4, 5, 6, 7, 8]
    assert len(kept) == 4
    assert told[0][0] > told[0][1] / 3
    assert told[-1][0] == pytest.approx(told[-1][1])


def test_a_part_is_saved_and_loaded_to_the_bit(busy_slide, tmp_path):
    kept = Parts(room=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("histome.cells.find.PART_WINDOWS", 1)
        find_cells(*busy_slide, DrawnNetwork(), kept=kept)
    NUCLEI.save(kept[0], tmp_path)
    loaded = NUCLEI.load(tmp_path)
    for column, again in zip(kept[0], loaded, strict=True):
        assert (column.dtype, column.shape, column.tobytes()) == (again.dtype, again.shape, again.tobytes())
    assert len(loaded.score) > 10
