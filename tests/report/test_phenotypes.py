"""Phenotype maps: every tile in its place and color, counted in the legend, gray where nothing is said."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers import profiles
from helpers.cells import cell_table
from PIL import Image

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.colors import rgb
from histome.config import ReportConfig
from histome.phenotype.axes import phenotypes
from histome.phenotype.tiles import tile_phenotypes
from histome.render.scale import STOPS
from histome.report import render_report
from histome.report.phenotypes import phenotype_page, tile_picture
from histome.report.pictures import Overview
from histome.slide import ClassMap

EXTENT_UM = (600.0, 400.0)
SHAPE = (80, 120)  # 5 um a pixel
OVERVIEW = Overview(np.full((*SHAPE, 3), 200, np.uint8), {}, EXTENT_UM)


def cells(tiles: dict[tuple[int, int], tuple[str, int]]) -> pa.Table:
    """Cells of one class in tiles of 100 um, (column, row) -> (class, number)."""
    x, y, names = [], [], []
    for (column, row), (name, n) in tiles.items():
        x += [100.0 * column + 10 + 3 * k for k in range(n)]
        y += [100.0 * row + 50 + 0.1 * k for k in range(n)]
        names += [name] * n
    return cell_table(x, y, names, area_um2=np.full(len(x), 12.0))


FEW = {(0, 0): ("carcinoma_cell", 25), (2, 1): ("lymphocyte", 25), (5, 3): ("carcinoma_cell", 19)}
_MIXED = {"fibroblast": 20, "carcinoma_cell": 19}
# As many tiles as a map needs.
OTHERS = {
    (column, row): ("fibroblast", 20) for row in (2, 3) for column in range(5) if (column, row) != (3, 2)
}
CELLS = cells(FEW | OTHERS)


def page(tissue: ClassMap | None = None) -> dict:
    found = phenotype_page(CELLS, tissue, 100.0, overview=OVERVIEW)
    assert found is not None
    return found


def picture(uri: str) -> np.ndarray:
    png = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return np.asarray(png.convert("RGBA"))


def center(pixels: np.ndarray, column: int, row: int) -> tuple[int, ...]:
    return tuple(int(value) for value in pixels[row * 20 + 10, column * 20 + 10])


def test_tiles_are_colored_by_their_value_and_others_are_clear() -> None:
    maps = {found["title"]: picture(found["picture"]) for found in page()["maps"]}
    purity = maps["Tumor purity"]
    assert purity.shape[:2] == SHAPE
    assert center(purity, 0, 0)[:3] == rgb(STOPS[-1])
    assert center(purity, 2, 1)[:3] == rgb(STOPS[0])
    assert center(purity, 5, 3)[3] == center(purity, 3, 2)[3] == 0  # too few cells, and none
    assert 0 < center(purity, 0, 0)[3] < 255
    # No tile has both kinds of cells, so none has a distance.
    assert (maps["Immune cells to tumor"][..., 3] == 0).all()


def test_the_legend_counts_every_tile_once() -> None:
    for found in page()["maps"]:
        assert sum(entry["shown"].raw for entry in found["legend"]) == 12
        shares = [entry["share"].raw for entry in found["legend"][:3]]
        assert sum(share for share in shares if share is not None) in (0, pytest.approx(100))
    legend = {entry["label"]: entry for entry in page()["maps"][0]["legend"]}
    counts = {label: entry["shown"].raw for label, entry in legend.items()}
    assert page()["maps"][0]["ends"] == ["0 %", "80 %"]  # of eleven tiles one has 100 %, the others 0 %
    # Without 20 neoplastic cells those ten are of no purity.
    assert counts == {"High Tumour Purity": 1, "Intermediate": 0, "Low Tumour Purity": 0, "Too few cells": 11}
    assert legend["High Tumour Purity"]["meaning"] == "over 60 %"
    assert legend["Intermediate"]["meaning"] == "30 to 60 %"
    last = page()["maps"][-1]["legend"]
    assert [entry["meaning"] for entry in last[:3]] == [
        "over 40 µm²",
        "25 to 40 µm²",
        "under 25 µm²",
    ]


def test_a_tile_with_too_few_of_a_class_counts_as_such() -> None:
    """Ten tiles of 20 fibroblasts and 19 carcinoma cells: purity and nuclear size, but no label of them."""
    places = [(column, row) for row in (0, 1) for column in range(5)]
    mixed = [cells({place: (name, n) for place in places}) for name, n in _MIXED.items()]
    found = phenotype_page(pa.concat_tables(mixed), None, 100.0, overview=OVERVIEW)
    assert found is not None
    counts = [{entry["label"]: entry["shown"].raw for entry in one["legend"]} for one in found["maps"]]
    purity = ("High Tumour Purity", "Intermediate", "Low Tumour Purity")
    assert counts[0] == {**dict.fromkeys(purity, 0), "Too few cells": 10}
    assert counts[-1] == {
        "Large/Pleomorphic": 0,
        "Intermediate": 0,
        "Small/Monotonous": 0,
        "Too few cells": 10,
    }


def test_every_axis_has_a_map_of_its_own_labels() -> None:
    for found, axis in zip(page()["maps"], phenotypes().axes.values(), strict=True):
        labels = [entry["label"] for entry in found["legend"][:3]]
        assert labels == [axis.at(level).label for level in ("high", "intermediate", "low")]


def test_only_tissue_is_colored() -> None:
    codes = np.zeros((40, 60), np.uint8)
    codes[:, :5] = TISSUE_CLASSES.index("STROMA") + 1
    pixels = picture(page(ClassMap(codes, 10.0, TISSUE_CLASSES))["maps"][0]["picture"])
    assert (pixels[:20, :10, 3] > 0).all()
    assert (pixels[:, 10:, 3] == 0).all()


def test_tiles_beyond_the_picture_and_uneven_sizes() -> None:
    """A lattice of 333 um over a slide of 600 x 400 um: four tiles, the last ones cut."""
    rng = np.random.default_rng(1)
    crowd = {"x_um": rng.uniform(0, 600, 400), "y_um": rng.uniform(0, 400, 400)}
    table = pa.table(
        crowd | {"class": rng.choice(CELL_CLASSES, 400).tolist(), "area_um2": np.full(400, 40.0)}
    )
    tiles = tile_phenotypes(table, 333.0)
    drawn = tile_picture(tiles, np.arange(1, 5, dtype=np.uint8), extent_um=EXTENT_UM, shape=SHAPE)
    rows, columns = (np.arange(n) * 5 + 2.5 > 333 for n in SHAPE)
    assert (drawn == 1 + columns[None, :] + 2 * rows[:, None]).all()


def test_a_few_tiles_give_no_maps_but_their_number() -> None:
    found = phenotype_page(cells(FEW), None, 100.0, overview=OVERVIEW)
    assert found is not None
    assert (found["maps"], found["labeled"], found["fewest"]) == ([], 2, 10)


def test_no_cells_no_maps() -> None:
    assert phenotype_page(CELLS.slice(0, 0), None, 250.0, overview=OVERVIEW) is None


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory):
    return profiles.make_slide(tmp_path_factory.mktemp("slide"))


def test_the_report_shows_the_maps_and_equal_input_gives_equal_bytes(slide) -> None:
    config = ReportConfig(thumbnail_px=400, field_um=150.0, tile_um=150.0)
    first, again = (render_report(profiles.make_profile(), slide, config) for _ in range(2))
    assert first == again
    section = re.search(r'<section id="phenotypes".*?</section>', first, re.S)
    assert section is not None
    assert section[0].count("<figure>") == 6
    assert "tiles of 150 µm" in section[0]
    assert "is not the immune phenotype of the narrative and the metrics" in section[0]


def test_a_report_without_cells_says_so(slide, tmp_path: Path) -> None:
    text = render_report(profiles.make_profile(cells=None), slide, ReportConfig(thumbnail_px=400))
    section = re.search(r'<section id="phenotypes".*?</section>', text, re.S)
    assert section is not None
    assert "no cells were found" in section[0]
    assert "<image" not in section[0]
