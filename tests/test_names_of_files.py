"""Names of files: shown without harm, and never the name of another folder."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from histome.names import shown, slide_id, spreadsheet_text
from histome.store.slide_row import ROW_HEAD, holds_slide_row, row_of_run, write_slide_row


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.svs", "a b"),
        ("a.b.svs", "a.b"),
        ("切片 ß%20.svs", "切片 ß%20"),
        ("...svs", "%2E%2E"),
        ("..svs", "%2E"),
        ("....svs", "%2E%2E%2E"),
        (".svs", ".svs"),
        ("a\nb.svs", "a%0Ab"),
        ("\x1b[31mred.svs", "%1B[31mred"),
        ("\udcff\udcfebad.svs", "%FF%FEbad"),
        ("\ud800.svs", "%ED%A0%80"),
        ("\u202egnp.svs", "%E2%80%AEgnp"),
        ("\x85\u2028.svs", "%C2%85%E2%80%A8"),
    ],
)
def test_an_id_is_the_name_of_one_folder(name: str, expected: str) -> None:
    assert slide_id(Path("folder") / name) == expected


def test_line_ends_stay_where_they_are_asked_for() -> None:
    assert shown("a\nb\r\x7f", keep="\n") == "a\nb%0D%7F"


@pytest.mark.parametrize("start", "=+-@")
def test_a_row_of_a_slide_is_no_formula_for_a_spreadsheet(start: str, tmp_path: Path) -> None:
    evil = f"{start}HYPERLINK(1)"
    run = {
        "slide": {"id": evil, "file": f"{evil}.svs", "fingerprint": "f", "mpp": {"x": 0.5, "y": 0.5}},
        **{"warnings": [], "code": "1", "state": "done"},
    }
    metrics = pa.table({"name": ["A"], "value": [-1.5], "unit": ["1"]})
    write_slide_row(tmp_path / "slide.csv", row_of_run(run), metrics)
    names, values = csv.reader((tmp_path / "slide.csv").read_text(encoding="utf-8").splitlines())
    told = dict(zip(names, values, strict=True))
    assert told["slide"] == f"'{evil}" == spreadsheet_text(evil)
    assert told["file"] == f"'{evil}.svs"
    assert told["A"] == "-1.5"
    assert list(told)[: len(ROW_HEAD)] == list(ROW_HEAD)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/metrics.parquet").touch()
    assert holds_slide_row(tmp_path, run)
