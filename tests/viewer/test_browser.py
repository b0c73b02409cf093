"""The page in a real browser, used as a person uses it: look, click, draw, correct, undo."""

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from helpers.browser import Browser, find_chromium

from histome.classes import CELL_CLASSES
from histome.colors import CELL_COLORS
from histome.interop import ForeignFiles, measure_files
from histome.viewer import Server, Shelf

pytestmark = pytest.mark.slow
LOADED = "histome.active.deck.layerManager.getLayers().every((l) => l.isLoaded)"
HOSTILE = "</option><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def out(looked: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the profile and, under a hostile name, the same again."""
    folder = tmp_path_factory.mktemp("browser") / "out"
    shutil.copytree(looked.out, folder)
    shutil.copytree(looked.profile.path, folder / "hostile")
    run = json.loads((folder / "hostile/run.json").read_text())
    run["slide"]["id"] = HOSTILE
    (folder / "hostile/run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="module")
def page(out: Path, looked: Any) -> Iterator[Browser]:
    find_chromium()
    with Server(Shelf(out, [looked.folder])) as server, Browser() as browser:
        browser.open(server.address)
        browser.until("document.body?.dataset.ready === 'true'")
        yield browser


def place(page: Browser, x: float, y: float) -> tuple[float, float]:
    """Return where on the page a place of the slide is."""
    found = page.run(
        "(() => {const {view, root} = histome.active, f = root.getBoundingClientRect();"
        f"return [f.left + f.width / 2 + ({x} - view.target[0]) * 2 ** view.zoom,"
        f"f.top + f.height / 2 + ({y} - view.target[1]) * 2 ** view.zoom];}})()"
    )
    return found[0], found[1]


def off_color(page: Browser, at: tuple[float, float], color: str, folder: Path) -> int:
    """Return how far from a color the page is within 2 px of a place of the slide, 0 to 255."""
    from PIL import Image

    page.picture(folder / "page.png")
    column, row = (round(value) for value in place(page, *at))
    shot = Image.open(folder / "page.png").convert("RGB")
    near = np.array(shot.crop((column - 2, row - 2, column + 3, row + 3))).reshape(-1, 3).astype(int)
    wanted = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return int(np.abs(near - wanted).max(axis=1).min())


def test_it_loads_and_shows_the_slide(page: Browser, looked: Any, tmp_path: Path) -> None:
    page.until("histome.active.info.name === 'drawn'")
    page.run("(histome.active.raw = true, histome.active.draw())")
    page.until(
        "histome.active.deck.layerManager.getLayers().some((l) => l.id.includes('image') && l.isLoaded)"
    )
    from histome.slide import open_slide

    with open_slide(looked.slide) as slide:
        pixels = slide.read(300, 200, size=(40, 40)).reshape(-1, 3).mean(axis=0)
    page.run("histome.active.setView({target: [320, 220, 0], zoom: 0})")
    page.until(LOADED)
    from PIL import Image

    page.picture(tmp_path / "page.png")
    column, row = place(page, 320, 220)
    shot = Image.open(tmp_path / "page.png").convert("RGB")
    seen = np.array(shot.crop((round(column) - 20, round(row) - 20, round(column) + 20, round(row) + 20)))
    assert np.abs(seen.reshape(-1, 3).mean(axis=0) - pixels).max() < 8
    page.run("(histome.active.raw = false, histome.active.fit())")
    assert page.errors == []


def test_the_wheel_zooms_about_the_pointer(page: Browser) -> None:
    page.run("histome.active.fit()")
    before, at = page.run("histome.active.view.zoom"), place(page, 200, 150)
    page.mouse("mouseWheel", *at, deltaX=0, deltaY=-240)
    page.until(f"histome.active.view.zoom > {before} + 0.3")
    after = place(page, 200, 150)
    assert math.dist(at, after) < 6
    page.run("histome.active.fit()")


def test_a_class_can_be_hidden(page: Browser, looked: Any) -> None:
    kinds = looked.profile.cells["class"].to_pylist()
    name = max(CELL_CLASSES, key=kinds.count)
    shown = "histome.active.cells.rowsIn([0, 0, 700, 600]).length"
    assert page.run(shown) == len(kinds)
    page.run(f"document.querySelector('#classes input[data-key={name}]').click()")
    assert page.run(shown) == len(kinds) - kinds.count(name)
    page.run(f"document.querySelector('#classes input[data-key={name}]').click()")
    page.run(
        "(() => {const c = document.getElementById('confidence'); c.value = 0.5;"
        "c.dispatchEvent(new Event('input'));})()"
    )
    confidence = looked.profile.cells["confidence"].to_numpy()
    assert abs(page.run(shown) - (confidence >= 0.5).sum()) <= (np.abs(confidence - 0.5) < 0.003).sum()
    page.run(
        "(() => {const c = document.getElementById('confidence'); c.value = 0;"
        "c.dispatchEvent(new Event('input'));})()"
    )


def test_a_click_on_a_cell_tells_its_row(page: Browser, looked: Any) -> None:
    row = 20
    cell = looked.profile.cells.slice(row, 1).to_pylist()[0]
    page.run(f"histome.active.goTo({cell['x']}, {cell['y']}, 1)")
    page.until(f"histome.active.mode() === 'near' && {LOADED}")
    page.click_until(*place(page, cell["x"], cell["y"]), f"histome.active.selected === {row}")
    text = page.until(
        "document.getElementById('cell-body').innerText.includes('cell id') &&"
        "document.getElementById('cell-body').innerText"
    )
    assert str(cell["cell_id"]) in text
    best = max(CELL_CLASSES, key=lambda name: cell[f"p_{name}"])
    assert f"{cell[f'p_{best}']:.2f}" in text


def test_a_drawn_region_has_the_numbers_of_metrics_run(page: Browser, looked: Any, tmp_path: Path) -> None:
    page.run("histome.active.fit()")
    page.run("document.getElementById('draw').click()")
    corners = [(120, 90), (560, 130), (600, 420), (300, 520)]
    page.drag([place(page, *corner) for corner in [*corners, corners[0]]])
    page.run("document.getElementById('draw').click()")
    geometry = page.until("histome.active.regions.length === 1 && histome.active.regions[0].geometry")
    drawn = np.array(geometry["coordinates"][0])
    assert np.abs(drawn[:4] - corners).max() < 3  # where the pointer was, to a pixel of the screen
    rows = (
        "Object.fromEntries([...document.querySelectorAll('#metrics tr')]"
        ".map((r) => [r.dataset.name, r.dataset.value]))"
    )
    page.until(
        "document.getElementById('numbers-of').textContent === 'Region 1' &&"
        "document.getElementById('numbers-note').textContent === ''"
    )
    shown = page.run(rows)
    feature = {
        "type": "Feature",
        "properties": {"name": "A", "classification": {"name": "A"}},
        "geometry": geometry,
    }
    (tmp_path / "regions.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    path = looked.profile.path
    files = ForeignFiles(path / "cells/cells.parquet", path / "tissue/tissue.ome.tif", 0.5)
    per = f"region:{tmp_path}/regions.geojson"
    measure_files(files, tmp_path / "run", config=looked.config.metrics, per=per, any_frame=True)
    parts = {row["name"]: row["value"] for row in pq.read_table(tmp_path / "run/parts.parquet").to_pylist()}
    assert len(shown) > 15
    for name, value in shown.items():
        if parts[name] is None:
            assert value == ""
        else:
            assert float(value) == pytest.approx(parts[name], rel=1e-5), name


def test_a_cell_is_relabeled_and_the_correction_undone(page: Browser, out: Path) -> None:
    page.run("histome.active.select(20)")
    before = page.run("histome.active.cells.kind[20]")
    to = CELL_CLASSES[(before + 1) % len(CELL_CLASSES)]
    page.run("document.getElementById('author').value = 'A. Pathologist'")
    page.until(f"document.querySelector('.chips button[data-to={to}]') !== null")
    page.run(f"document.querySelector('.chips button[data-to={to}]').click()")
    page.until(f"histome.active.cells.kind[20] === {CELL_CLASSES.index(to)}")
    assert "A. Pathologist" in page.until("document.getElementById('edits').innerText")
    page.run("document.querySelector('#edits button').click()")
    page.until(f"histome.active.cells.kind[20] === {before}")
    lines = [json.loads(line) for line in (out / "drawn.edits.jsonl").read_text().splitlines()]
    assert [line["action"] for line in lines] == ["relabel", "undo"]


def test_the_queue_of_regions_leads_to_a_square_with_its_numbers(
    page: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histome.viewer.doubts._FEWEST_CELLS", 3)  # the slide is little larger than a square
    page.run("document.getElementById('queue-regions').click()")
    page.until("histome.active.regions.some((r) => r.queued)")
    assert page.until("document.getElementById('queue-at').textContent").startswith("region 1 of")
    page.until("document.getElementById('numbers-of').textContent === 'Least certain 1'")
    page.run("document.getElementById('queue-regions').click()")
    page.until("document.getElementById('queue-at').textContent.startsWith('region 2 of')")
    assert page.run("histome.active.regions.filter((r) => r.queued).length") == 1
    page.run("histome.active.removeRegion(histome.active.regions.length - 1)")


def test_a_frame_costs_the_same_however_many_cells_there_are(page: Browser) -> None:
    """Cells are pictures in tiles: no layer has an instance a cell, far or near."""
    instances = "Math.max(...histome.active.deck.layerManager.getLayers().map((l) => l.getNumInstances()))"
    for zoom, mode in ((-1.0, "points"), (0.5, "near")):
        page.run(f"histome.active.setView({{target: [350, 300, 0], zoom: {zoom}}})")
        page.until(f"histome.active.mode() === '{mode}' && {LOADED}")
        assert page.run("histome.active.cells.howMany(histome.active.box())") > 50
        assert page.run(instances) < 20


def test_cells_are_drawn_where_they_lie_in_the_color_of_their_class(
    page: Browser, looked: Any, tmp_path: Path
) -> None:
    row = 20
    cell = looked.profile.cells.slice(row, 1).to_pylist()[0]
    color = CELL_COLORS[cell["class"]]
    # A point from afar; near, a corner of the outline.
    corner = shapely.from_wkb(cell["geometry"]).exterior.coords[0]
    show = "histome.active.cells.show(histome.active.cells.kind[20], {}), histome.active.draw()"
    for (x, y), zoom in (((cell["x"], cell["y"]), -1.2), (corner, 3)):
        page.run(f"histome.active.setView({{target: [{x}, {y}, 0], zoom: {zoom}}})")
        page.until(f"{LOADED} && histome.active.deck.props.useDevicePixels === 1")
        time.sleep(0.3)  # the frame that is sharp again
        drawn = off_color(page, (x, y), color, tmp_path)
        page.run(show.format("false"))
        page.until(LOADED)
        hidden = off_color(page, (x, y), color, tmp_path)
        page.run(show.format("true"))
        assert drawn < 60 < hidden, (zoom, drawn, hidden)


def test_a_hostile_name_is_only_text_and_slides_stand_side_by_side(page: Browser) -> None:
    names = page.run("[...document.getElementById('slide').options].map((o) => o.textContent)")
    assert any(HOSTILE in name for name in names)
    other = page.run("histome.panes[0].key")
    page.run(
        f"(() => {{const b = document.getElementById('beside'); b.value ="
        f"[...b.options].map((o) => o.value).find((v) => v && v !== '{other}');"
        "b.dispatchEvent(new Event('change'));})()"
    )
    page.until("histome.panes.length === 2 && histome.panes[1].info")
    page.run("histome.panes[0].setView({target: [300, 200, 0], zoom: 1}, true)")
    assert page.run("[...histome.panes[1].view.target.slice(0, 2), histome.panes[1].view.zoom]") == [
        300,
        200,
        1,
    ]
    assert page.run("document.title") == "histome"
    assert page.errors == []


def test_where_the_first_slide_cannot_be_opened_the_next_is_shown(looked: Any, tmp_path: Path) -> None:
    find_chromium()
    shutil.copytree(looked.out, tmp_path / "out")
    damaged = tmp_path / "out/a-damaged"
    shutil.copytree(looked.profile.path, damaged)
    run = json.loads((damaged / "run.json").read_text())
    run["slide"]["id"] = "a-damaged"
    (damaged / "run.json").write_text(json.dumps(run))
    (damaged / "cells/cells.parquet").write_bytes(b"")
    with Server(Shelf(tmp_path / "out", [looked.folder])) as server, Browser() as browser:
        browser.open(server.address)
        browser.until("document.body?.dataset.ready === 'true'")
        assert browser.run("document.getElementById('slide').options[0].textContent").startswith("a-damaged")
        assert browser.run("histome.active.info.name") == "drawn"
        assert "cells.parquet" in browser.run("document.getElementById('toast').textContent")
