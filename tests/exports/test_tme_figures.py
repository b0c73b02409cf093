"""Figures hold what they were given, are equal for equal input, and refuse other endings."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from helpers import drawn_patch
from helpers.cells import cell_table

pytest.importorskip("matplotlib")

from matplotlib.legend import Legend
from matplotlib.text import Text

from histome.classes import CELL_CLASSES
from histome.cli import main
from histome.errors import DataError, UsageError
from histome.exports import tme_figures
from histome.exports.tme_figures import draw_axis_maps, draw_patch, draw_training_curves
from histome.narrative import Facts, write
from histome.phenotype.axes import phenotypes
from histome.phenotype.patch import describe_file, see_file
from histome.phenotype.tiles import tile_phenotypes


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    instances, classes = drawn_patch.draw(
        [(20 * (k % 10), 40 * (k // 10), 1 + k % 3) for k in range(40)], side=10
    )
    np.savez(tmp_path / "patch.npz", inst_mask=instances, cls_mask=classes)
    return tmp_path / "patch.npz"


def run(*words: object) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in words])


def svg_texts(path: Path) -> str:
    """matplotlib writes text as paths, with the text in a comment."""
    return " ".join(line.strip() for line in path.read_text().splitlines() if "<!--" in line)


def test_the_narrative_of_a_patch_is_printed_and_drawn(masks: Path, tmp_path: Path, capsys) -> None:
    figure = tmp_path / "out" / "patch.svg"
    run("tme", "patch", masks, "--mpp", 0.5, "--narrative", "--figure", figure)
    text = write(Facts.of_patch(describe_file(masks, mpp=0.5))).text
    out, err = capsys.readouterr()
    assert (out.strip().replace("\n", " "), err) == (text, f"{figure}\n")
    drawn = svg_texts(figure)
    assert text[:40] in drawn
    assert "Inflammatory (13)" in drawn
    for name in phenotypes().axes:
        assert f"{name}: " in drawn


@pytest.fixture(scope="module")
def tiles() -> pa.Table:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1500, 3000), rng.uniform(0, 1000, 3000)
    return tile_phenotypes(
        cell_table(x, y, rng.integers(0, 9, 3000), area_um2=rng.uniform(20, 60, 3000)), 250.0
    )


class Drawn(NamedTuple):
    """A figure as matplotlib lays it out, before it is a file."""

    figure: Any

    def texts(self) -> list[str]:
        """Every text, legends and titles too."""
        return [each.get_text() for each in self.figure.findobj(Text) if each.get_text()]

    def outside(self) -> list[str]:
        """The texts and legends that the figure's edge cuts."""
        width, height = self.figure.bbox.size
        told = [each for each in self.figure.findobj(Text) if each.get_text().strip()]
        boxes = [(each, each.get_window_extent()) for each in (*told, *self.figure.findobj(Legend))]
        return [str(each) for each, b in boxes if min(b.min) < 0 or b.x1 > width or b.y1 > height]

    def hidden(self) -> list[str]:
        """The titles of maps that a legend lies over."""
        legends = [each.get_window_extent() for each in self.figure.findobj(Legend)]
        titles = [panel.title for panel in self.figure.axes if panel.get_title()]
        return [t.get_text() for t in titles if any(t.get_window_extent().overlaps(b) for b in legends)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    """What is laid out in a test, in place of being written."""
    seen: list[Drawn] = []

    def keep(figure: Any, out: Path) -> None:
        figure.draw_without_rendering()
        seen.append(Drawn(figure))

    monkeypatch.setattr(tme_figures, "_save", keep)
    return seen


def masks_of(path: Path, height: int, width: int) -> Path:
    """A nucleus of 8 px every 20 px, in turn of no class and of the five."""
    instances, classes = np.zeros((2, height, width), np.int32)
    places = [(y, x) for y in range(5, height - 60, 20) for x in range(5, width - 60, 20)]
    for k, (y, x) in enumerate(places):
        instances[y : y + 8, x : x + 8] = k + 1
        classes[y : y + 8, x : x + 8] = k % 6
    np.savez(path, inst_mask=instances, cls_mask=classes)
    return path


@pytest.mark.parametrize(("height", "width"), [(600, 600), (600, 150), (150, 600)])
def test_a_patch_of_masks_has_their_size_and_nothing_is_cut(
    tmp_path: Path, drawn: list[Drawn], height: int, width: int
) -> None:
    path = masks_of(tmp_path / "patch.npz", height, width)
    seen = see_file(path, mpp=0.25)
    told = [write(Facts.of_patch(seen.document)).text, *seen.document["notes"]]
    draw_patch(path, seen, told, tmp_path / "patch.svg")
    nuclei = drawn[0].figure.axes[0]
    assert (nuclei.get_xlim(), nuclei.get_ylim()) == ((0, width), (height, 0))
    assert drawn[0].outside() == []
    n = seen.document["cells_left_out"]
    assert n == -(-(seen.document["raw_data"]["total_cell_count"] + n) // 6)
    assert f"No class, left out ({n})" in drawn[0].texts()
    assert any(f"{n} nuclei without a class in cls_mask" in text for text in drawn[0].texts())
    discs = [len(each.get_paths()) for each in nuclei.collections]
    assert sum(discs) == seen.document["raw_data"]["total_cell_count"] + n


def test_a_patch_without_nuclei_is_drawn(tmp_path: Path, drawn: list[Drawn]) -> None:
    np.savez(tmp_path / "a.npz", inst_mask=np.zeros((2, 30), int), cls_mask=np.zeros((2, 30), int))
    draw_patch(tmp_path / "a.npz", see_file(tmp_path / "a.npz", mpp=0.25), ["none"], tmp_path / "a.svg")
    assert drawn[0].figure.axes[0].get_xlim() == (0, 30)
    assert not drawn[0].figure.legends


def test_a_value_beyond_its_bar_has_an_arrow(masks: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    """Nuclei of 100 px: 25 um2 at 0.5 um/px, 400 at 2, where the bar ends at 80."""
    for mpp in (0.5, 2.0):
        draw_patch(masks, see_file(masks, mpp=mpp), ["none"], tmp_path / "patch.svg")
    morphology = list(phenotypes().axes).index("morphology")
    arrows = [[line.get_ydata()[0] for line in one.figure.axes[-2].lines] for one in drawn]
    assert arrows == [[], [pytest.approx(morphology + 0.2)]]


@pytest.mark.parametrize(
    ("below", "above", "told"),
    [
        (30.0, 45.0, {"30.0 µm²": "right", "45.0 µm²": "left"}),
        (44.9, 45.0, {"44.9 µm²": "right", "45.0 µm²": "left"}),
        (0.0, 45.0, {"0 µm²": "left", "45.0 µm²": "left"}),
        (22.4, 45.0, {"22.4 µm²": "left", "45.0 µm²": "left"}),
        (22.6, 45.0, {"22.6 µm²": "right", "45.0 µm²": "left"}),
        (1000.0, 1000.0, {"1\N{NARROW NO-BREAK SPACE}000 µm²": "left"}),
    ],
)
def test_each_limit_has_its_value_beside_it(
    masks: Path, tmp_path: Path, drawn: list[Drawn], below: float, above: float, told: dict[str, str]
) -> None:
    (tmp_path / "cuts.toml").write_text(f"[morphology]\nbelow = {below}\nabove = {above}\n")
    seen = see_file(masks, mpp=0.5, cuts=tmp_path / "cuts.toml")
    draw_patch(masks, seen, ["none"], tmp_path / "patch.svg")
    panel = drawn[0].figure.axes[-2]
    row = list(phenotypes().axes).index("morphology")
    limits = [each for each in panel.texts if each.get_position()[1] == pytest.approx(row + 0.42)]
    assert {each.get_text().replace("\N{NO-BREAK SPACE}", " "): each.get_ha() for each in limits} == told
    assert [each.get_position()[0] for each in limits] == [x / (2 * above) for x in sorted({below, above})]
    boxes = [each.get_window_extent() for each in panel.texts]
    assert not [1 for k, one in enumerate(boxes) for other in boxes[:k] if one.overlaps(other)]
    frame = panel.get_window_extent()
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 for b in boxes)


def test_a_long_text_makes_a_higher_figure(masks: Path, tmp_path: Path, drawn: list[Drawn]) -> None:
    draw_patch(masks, see_file(masks, mpp=0.25), ["many words " * 500], tmp_path / "patch.svg")
    assert drawn[0].outside() == []


def legend_of(panel: Any) -> list[str]:
    legend = panel.get_legend()
    return [] if legend is None else [text.get_text().replace("\n", " ") for text in legend.get_texts()]


def test_a_map_says_why_tiles_have_no_color_and_where_they_lie(tmp_path: Path, drawn: list[Drawn]) -> None:
    """A tile of 20 carcinoma cells, one of 19 lymphocytes; two cells of class other."""
    x = [*np.arange(20) * 2.0, *(250 + np.arange(19) * 2.0), 10.0, 20.0]
    kinds = [0] * 20 + [CELL_CLASSES.index("lymphocyte")] * 19 + [CELL_CLASSES.index("other")] * 2
    tiles = tile_phenotypes(cell_table(x, np.zeros(41), kinds, area_um2=np.full(41, 30.0)), 250.0)
    draw_axis_maps(tiles, tmp_path / "a.svg", title="slide")
    figure = drawn[0].figure
    about = "2 tiles of 250 µm; 1 with fewer than 20 cells and so without labels"
    assert figure.get_suptitle() == f"slide: {about}; 2 nuclei of the class other left out"
    n = len(phenotypes().axes)
    values, labels = figure.axes[:n], figure.axes[n : 2 * n]
    for name, axis, above, below in zip(
        phenotypes().axes, phenotypes().axes.values(), values, labels, strict=True
    ):
        assert above.get_title().startswith(f"{name}\n{axis.value}")
        assert below.get_title() == f"labels of {name}"
        assert {p.get_xlabel() for p in (above, below)} == {p.get_ylabel() for p in (above, below)} == {"mm"}
        assert "no label (1): there are fewer than 20 cells" in legend_of(below)
        assert np.allclose(above.get_xlim(), (0.0, 0.5))
    interaction = list(phenotypes().axes).index("interaction")
    assert set(legend_of(values[interaction])) == {
        "no value (1): there are no neoplastic cells",
        "no value (1): there are no inflammatory cells",
    }
    assert not values[interaction].child_axes
    assert drawn[0].outside() == drawn[0].hidden() == []


@pytest.mark.parametrize(("across", "down"), [(7, 8), (2, 20), (20, 2)])
def test_a_map_with_many_reasons_has_room_for_them(
    tmp_path: Path, drawn: list[Drawn], across: int, down: int
) -> None:
    """Tiles of 4 to 80 cells, of one class to eight."""
    rng = np.random.default_rng(0)
    x, y, kinds = [], [], []
    for k in range(across * down):
        n = (4, 30, 50, 80)[k % 4]
        some = ((0,), (0, 1), (1, 4), tuple(range(8)))[k // 4 % 4]
        x += [100.0 * (k % across) + each for each in rng.uniform(0, 100, n)]
        y += [100.0 * (k // across) + each for each in rng.uniform(0, 100, n)]
        kinds += rng.choice(some, n).tolist()
    cells = cell_table(x, y, kinds, area_um2=np.full(len(x), 30.0))
    draw_axis_maps(tile_phenotypes(cells, 100.0), tmp_path / "a.svg")
    interaction = list(phenotypes().axes).index("interaction")
    assert len(legend_of(drawn[0].figure.axes[interaction])) == 2
    assert len(legend_of(drawn[0].figure.axes[6 + interaction])) > 6
    assert drawn[0].outside() == drawn[0].hidden() == []


@pytest.mark.parametrize(("kind", "ends"), [("carcinoma_cell", (0.0, 1.0)), ("fibroblast", (0.0, 0.6))])
def test_a_scale_of_equal_values_begins_at_0(
    tmp_path: Path, drawn: list[Drawn], kind: str, ends: tuple[float, float]
) -> None:
    """Composition is 1 in every tile, or 0: the scale then ends at the upper limit."""
    x, y = np.meshgrid(np.arange(0, 1000, 20.0), np.arange(0, 250, 20.0))
    cells = cell_table(x.ravel(), y.ravel(), CELL_CLASSES.index(kind), area_um2=np.full(x.size, 30.0))
    draw_axis_maps(tile_phenotypes(cells, 250.0), tmp_path / "a.svg")
    composition = drawn[0].figure.axes[0]
    assert composition.images[-1].get_clim() == ends
    assert np.allclose(composition.child_axes[0].get_ylim(), ends)
    assert drawn[0].outside() == []


def test_a_slides_axes_are_drawn_as_values_and_as_labels(tiles: pa.Table, tmp_path: Path) -> None:
    draw_axis_maps(tiles, tmp_path / "a.svg", title="a $5 slide")
    draw_axis_maps(tiles, tmp_path / "b.svg", title="a $5 slide")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    drawn = svg_texts(tmp_path / "a.svg")
    for axis in phenotypes().axes.values():
        assert axis.value in drawn
        assert axis.high.label in drawn


def test_nothing_and_other_endings_are_refused(tiles: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tile"):
        draw_axis_maps(tiles.slice(0, 0), tmp_path / "a.svg")
    with pytest.raises(UsageError, match=r"ends in \.svg"):
        draw_axis_maps(tiles, tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"no log\.csv"):
        draw_training_curves(tmp_path, tmp_path / "a.svg")


@pytest.mark.parametrize("ending", [".svg", ".pdf"])
def test_curves_of_every_stage(tmp_path: Path, ending: str) -> None:
    for stage, losses in (("stage1", (2.0, 1.0)), ("stage2", (1.5, 0.5))):
        (tmp_path / "run" / stage).mkdir(parents=True)
        with (tmp_path / "run" / stage / "log.csv").open("w", newline="") as file:
            rows = [
                {"step": 10 * k, "seconds": k, "loss": loss, "miou": 0.1 * k} for k, loss in enumerate(losses)
            ]
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    out = tmp_path / f"curves{ending}"
    run("train", "curves", tmp_path / "run", "-o", out)
    first = out.read_bytes()
    run("train", "curves", tmp_path / "run", "-o", out)
    assert out.read_bytes() == first
    if ending == ".svg":
        drawn = svg_texts(out)
        assert all(word in drawn for word in ("stage1", "stage2", "loss", "miou"))
        assert "seconds" not in drawn


def test_a_log_without_losses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,seconds\n1,3\n")
    with pytest.raises(DataError, match="holds steps and no losses"):
        draw_training_curves(tmp_path, tmp_path / "a.svg")


def test_a_log_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n1,many\n")
    with pytest.raises(DataError, match="not the log of a training"):
        draw_training_curves(tmp_path, tmp_path / "a.svg")
