"""Corrections: kept beside the profile, undone by a line more, measured with on request."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from histome.classes import CELL_CLASSES
from histome.datasets import label_set
from histome.datasets.published import load_labeled
from histome.errors import DataError, UsageError
from histome.exports.qupath import write_qupath
from histome.pipeline import profile
from histome.store.edits import in_force, read_edits
from histome.store.profile import Profile, load_profile
from histome.viewer import Shelf, viewer_app

LEFT_HALF = {"type": "Polygon", "coordinates": [[[0, 0], [350, 0], [350, 600], [0, 600], [0, 0]]]}
WHO = {"author": "A. Pathologist", "reason": "reactive"}


class Case(NamedTuple):
    """A copy of the profile that may be corrected, and what asks for it."""

    client: TestClient
    at: str
    profile: Profile
    file: Path

    def post(self, action: str, **body: Any) -> Any:
        return self.client.post(f"{self.at}/{action}", json=body)

    def kinds(self) -> list[str]:
        data = self.client.get(f"{self.at}/kinds").content
        return [CELL_CLASSES[code] for code in data[: len(data) // 3]]

    def value(self, name: str, **body: Any) -> float:
        rows = self.post("metrics", words=[name], **body).json()["rows"]
        return next(row["value"] for row in rows if row["name"] == name)


@pytest.fixture
def case(looked: Any, tmp_path: Path) -> Case:
    shutil.copytree(looked.out, tmp_path / "out")
    client = TestClient(viewer_app(Shelf(tmp_path / "out", [looked.folder])))
    at = f"/slides/{client.get('/slides').json()[0]['key']}"
    return Case(client, at, load_profile(tmp_path / "out/drawn"), tmp_path / "out/drawn.edits.jsonl")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_relabeled_cell_is_of_its_new_class_until_it_is_undone(case: Case) -> None:
    before, files = case.kinds(), snapshot(case.profile.path)
    told = case.post("relabel", rows=[3, 5], to="plasma_cell", **WHO).json()
    assert [k for k, (a, b) in enumerate(zip(before, case.kinds(), strict=True)) if a != b] in (
        [3, 5],
        [3],
        [5],
    )
    assert case.kinds()[3] == case.kinds()[5] == "plasma_cell"
    (edit,) = told["edits"]
    assert (edit["author"], edit["reason"], edit["cells"], edit["holds"]) == (*WHO.values(), 2, True)
    line = json.loads(case.file.read_text())
    assert line["was"] == [before[3], before[5]]
    assert line["x"][0] == pytest.approx(case.profile.cells["x"][3].as_py(), abs=0.01)
    case.post("undo", of=edit["id"], author="B")
    assert case.kinds() == before
    assert len(case.file.read_text().splitlines()) == 2
    assert snapshot(case.profile.path) == files  # the profile itself was never touched


def test_what_is_no_correction_is_refused_and_leaves_no_line(case: Case) -> None:
    n = len(case.profile.cells)
    wrong = (
        ("relabel", {"rows": [n], "to": "lymphocyte", **WHO}),
        ("relabel", {"rows": [-1], "to": "lymphocyte", **WHO}),
        ("relabel", {"rows": [], "to": "lymphocyte", **WHO}),
        ("relabel", {"rows": [1], "to": "<script>", **WHO}),
        ("relabel", {"rows": [1], "to": "lymphocyte", "author": " "}),
        ("relabel", {"rows": [1], "to": "lymphocyte", "author": "x" * 5000}),
        ("exclude", {"region": {"type": "Point", "coordinates": [1, 1]}, **WHO}),
        ("undo", {"of": "nothing", "author": "A"}),
    )
    for action, body in wrong:
        assert case.post(action, **body).status_code == 422, (action, body)
    assert not case.file.exists()


def test_hostile_words_stay_words(case: Case) -> None:
    name = '</script>"><img src=x onerror=alert(1)>\u202e\n{"action":"undo"}'
    told = case.post("relabel", rows=[1], to="other", author=name, reason=name).json()
    assert told["edits"][0]["author"] == name.strip()
    assert len(case.file.read_text(encoding="ascii").splitlines()) == 1
    assert read_edits(case.file)[0].reason == name.strip()


def test_an_excluded_region_is_in_no_number(case: Case) -> None:
    whole = {"type": "Polygon", "coordinates": [[[-9, -9], [900, -9], [900, 900], [-9, 900], [-9, -9]]]}
    right = {"type": "Polygon", "coordinates": [[[350, -9], [900, -9], [900, 900], [350, 900], [350, -9]]]}
    rest = case.value("CELL_N_TOTAL", region=right)
    assert 0 < rest < case.value("CELL_N_TOTAL", region=whole)
    told = case.post("exclude", region=LEFT_HALF, **WHO).json()
    assert case.value("CELL_N_TOTAL", region=whole) == rest
    assert len(told["excluded"]) == 1
    flags = np.frombuffer(case.client.get(f"{case.at}/kinds").content, "u1").reshape(3, -1)[2]
    assert (flags & 1).sum() >= rest


def test_the_queue_begins_with_the_least_certain(case: Case) -> None:
    rows = case.client.get(f"{case.at}/queue/cells?most=20").json()
    confidence = case.profile.cells["confidence"].to_numpy()[rows]
    assert len(rows) == 20
    assert (np.diff(confidence) >= 0).all()
    counted = case.profile.cells["counted"].to_numpy()
    assert confidence[0] == case.profile.cells["confidence"].to_numpy()[counted].min()
    case.post("relabel", rows=rows[:1], to="other", **WHO)
    assert rows[0] not in case.client.get(f"{case.at}/queue/cells?most=20").json()


def test_edits_are_still_there_when_the_viewer_is_opened_again(case: Case) -> None:
    case.post("relabel", rows=[4], to="granulocyte", **WHO)
    shelf = Shelf(case.profile.path.parent)
    view = shelf.view(shelf.entries()[0]["key"])
    assert CELL_CLASSES[view.codes[4]] == "granulocyte"


def test_a_profile_is_measured_again_with_edits(case: Case, looked: Any) -> None:
    """The numbers are those that the viewer showed; the model's own cells stay as they were found."""
    lymphocytes = [row for row, name in enumerate(case.kinds()) if name == "lymphocyte"]
    others = [row for row, name in enumerate(case.kinds()) if name != "lymphocyte"]
    case.post("relabel", rows=others[:30], to="lymphocyte", **WHO)
    undone = case.post("relabel", rows=others[30:60], to="lymphocyte", **WHO).json()["edits"][0]["id"]
    case.post("undo", of=undone, author="A")
    case.post("exclude", region=LEFT_HALF, **WHO)
    whole = {"type": "Polygon", "coordinates": [[[-9, -9], [900, -9], [900, 900], [-9, 900], [-9, -9]]]}
    shown = {name: case.value(name, region=whole) for name in ("CELL_COUNT_LYMPHOCYTE", "ABSOLUTE_AREA")}
    config = looked.config.updated(metrics=looked.config.metrics.updated(edits=str(case.file)))
    out = case.profile.path.parent
    made = profile(looked.slide, out, config=config, stages=("metrics",), workers=1)
    assert {name: made[name].value for name in shown} == shown
    assert made.run["edits"] == {"relabeled": 30, "excluded_regions": 1, "not_found": 0}
    assert "CORRECTED" in [warning.code for warning in made.warnings]
    assert made.run["config"]["metrics"]["edits"] == case.file.name
    corrected, found = made.cells, Profile(made.path, as_found=True).cells
    names = np.array(corrected["class"].to_pylist())
    assert (names == "lymphocyte").sum() == len(lymphocytes) + 30
    assert corrected.schema == found.schema
    assert sum(name == "lymphocyte" for name in found["class"].to_pylist()) == len(lymphocytes)
    given = others[:30]
    assert set(np.array(corrected["confidence"])[given]) == {1.0}
    counted = corrected["counted"].to_numpy()
    assert not counted[corrected["x"].to_numpy() < 340].any()
    assert counted[given].sum() + (names[counted] == "lymphocyte").sum() > 0
    assert made.tissue.map.array[:, : int(340 * 0.5 / made.tissue.map.mpp)].max() == 0
    # What leaves the profile is corrected too.
    write_qupath(made, out / "cells.geojson")
    told = json.loads((out / "cells.geojson").read_text())["features"]
    cells = [feature["properties"] for feature in told if feature["properties"]["objectType"] != "annotation"]
    assert sum(cell["classification"]["name"] == "Lymphocyte" for cell in cells) == len(lymphocytes) + 30
    # Without the file the numbers are those of before.
    again = profile(looked.slide, out, config=looked.config, stages=("metrics",), workers=1)
    assert again["CELL_COUNT_LYMPHOCYTE"].value == looked.profile["CELL_COUNT_LYMPHOCYTE"].value
    assert again.cells.equals(looked.profile.cells)


def test_neighbors_are_those_of_the_corrected_classes(case: Case, looked: Any) -> None:
    from histome.store.edits import apply_edits

    case.post("relabel", rows=list(range(0, len(case.kinds()), 2)), to="macrophage", **WHO)
    cells, _, _ = apply_edits(
        case.profile.cells, case.profile.tissue, read_edits(case.file), case.profile.run
    )
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    kind = np.array(cells["class"].to_pylist())
    near = (np.hypot(x - x[8], y - y[8]) <= 20) & cells["counted"].to_numpy() & (kind == "macrophage")
    near[8] = False
    assert cells["n_macrophage_20um"][8].as_py() == near.sum()


def test_a_folder_of_edits_has_a_file_a_slide(case: Case) -> None:
    from histome.store.files import find_edits

    case.post("relabel", rows=[4], to="granulocyte", **WHO)
    folder = str(case.file.parent)
    assert find_edits(folder, "drawn") == find_edits(str(case.file), "drawn") == case.file
    assert find_edits(folder, "another") is None
    assert find_edits(None, "drawn") is None
    with pytest.raises(UsageError, match="no such file"):
        find_edits(folder + "/nothing.jsonl", "drawn")


def test_edits_of_another_slide_and_broken_lines_are_refused(case: Case) -> None:
    case.post("relabel", rows=[4], to="granulocyte", **WHO)
    with pytest.raises(UsageError, match="line 1 is an edit of another slide"):
        read_edits(case.file, slide="0" * 64)
    line = case.file.read_text()
    for broken in ("{}", "nothing", line.replace("relabel", "remove"), line.replace("granulocyte", "pixie")):
        case.file.write_text(line + broken)
        with pytest.raises(UsageError, match="line 2 is no edit") as refused:
            read_edits(case.file)
        assert "\n" not in str(refused.value)


def test_undoing_can_be_undone() -> None:
    from histome.store.edits import Relabel, Undo

    said = {"time": "2026-01-01", "author": "A", "slide": "s"}
    place = {"cell_id": (1,), "x": (1.0,), "y": (1.0,), "was": ("other",)}
    edit = Relabel(id="a", **said, to="lymphocyte", **place)
    undo, redo = Undo(id="b", **said, of="a"), Undo(id="c", **said, of="b")
    assert in_force([edit]) == (edit,)
    assert in_force([edit, undo]) == ()
    assert in_force([edit, undo, redo]) == (edit,)


def test_corrected_cells_are_labels_to_train_on(case: Case, looked: Any) -> None:
    shutil.copy(looked.slide, case.file.parent)
    case.post("relabel", rows=[3, 5, 40], to="plasma_cell", **WHO)
    told = case.post("relabel", rows=[7], to="fibroblast", **WHO).json()
    case.post("undo", of=told["edits"][0]["id"], **WHO)
    fields = list(load_labeled("corrected", case.file.parent))
    cells = case.profile.cells
    places = sorted((cells["x_um"][k].as_py(), cells["y_um"][k].as_py()) for k in (3, 5, 40))
    assert sum(len(field.points_px) for field in fields) == 3
    for field in fields:
        assert field.source == "drawn"
        assert field.sets.tolist() == [0] + [label_set("plasma_cell")] * len(field.points_px)
        assert not field.weight.any()  # what lies between them, and whether they are nuclei, nobody said
    corners = [tuple(256.0 * int(part) for part in field.name.split("-")[1:]) for field in fields]
    found = [
        (left + 0.5 * x, top + 0.5 * y)
        for (left, top), field in zip(corners, fields, strict=True)
        for x, y in field.points_px.tolist()
    ]
    assert np.abs(np.array(sorted(found)) - places).max() < 0.7
    darkness = [255 - field.image[field.labels > 0].mean() for field in fields]
    assert min(darkness) > 1.2 * (255 - fields[0].image.mean())  # they lie on nuclei


def test_a_corrected_cell_is_reported_as_what_it_was_corrected_to(case: Case) -> None:
    from histome.store.edits import apply_edits

    case.post("relabel", rows=[3], to="plasma_cell", **WHO)
    found = case.profile.cells
    undecided = pa.array(["epithelium, undecided"] * len(found)).dictionary_encode()
    field = found.schema.field("reported")
    found = found.set_column(found.schema.get_field_index("reported"), field, undecided.cast(field.type))
    cells = apply_edits(found, case.profile.tissue, read_edits(case.file), case.profile.run).cells
    assert cells["reported"][3].as_py() == "plasma_cell"
    assert set(cells["reported"].slice(4).to_pylist()) == {"epithelium, undecided"}


def test_labels_of_nothing_corrected_or_without_the_slide_are_refused(case: Case) -> None:
    with pytest.raises(DataError, match="no profile here has cells that somebody relabeled"):
        list(load_labeled("corrected", case.file.parent))
    case.post("relabel", rows=[3], to="plasma_cell", **WHO)
    with pytest.raises(DataError, match=r"drawn\.tif was not found; put it, or a link to it"):
        list(load_labeled("corrected", case.file.parent))


def test_the_least_certain_squares_come_first_and_give_way_when_corrected(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histome.viewer.doubts._FEWEST_CELLS", 3)  # the slide is little larger than a square
    found = case.client.get(f"{case.at}/queue/regions").json()
    sure = [np.mean([each["cell_confidence"], each["tissue_confidence"]]) for each in found]
    assert len(found) > 1
    assert sure == sorted(sure)
    cells = case.profile.cells
    left, top, right, bottom = found[0]["box"]
    assert (left % 500, top % 500, right, bottom) == (0, 0, min(left + 500, 700), min(top + 500, 600))
    x, y = cells["x"].to_numpy(), cells["y"].to_numpy()
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom) & cells["counted"].to_numpy()
    assert found[0]["cells"] == inside.sum()
    mean = cells["confidence"].to_numpy()[inside].mean()
    assert found[0]["cell_confidence"] == pytest.approx(mean, abs=0.002)
    best = np.max([case.profile.tissue.probabilities.array[k] for k in range(7)], axis=0) / 255
    px = case.profile.tissue.map.mpp
    rows, columns = np.indices(best.shape)
    there = ((columns + 0.5) * px // 250 == left * 0.5 // 250) & (
        (rows + 0.5) * px // 250 == top * 0.5 // 250
    )
    there &= case.profile.tissue.map.array > 0
    assert found[0]["tissue_confidence"] == pytest.approx(best[there].mean(), abs=0.002)
    case.post("relabel", rows=np.flatnonzero(inside).tolist(), to="fibroblast", **WHO)
    after = case.client.get(f"{case.at}/queue/regions").json()
    assert after[0]["box"] != found[0]["box"]
    corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    case.post("exclude", region={"type": "Polygon", "coordinates": [corners]}, **WHO)
    boxes = [each["box"] for each in case.client.get(f"{case.at}/queue/regions").json()]
    assert found[0]["box"] not in boxes
    assert not set(case.client.get(f"{case.at}/queue/cells?most=5000").json()) & set(np.flatnonzero(inside))
