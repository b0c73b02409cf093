"""docs/paper-table.md as it is written: each line is run, on a cohort that has all that they ask for."""

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import profiles
from helpers.cli import Cli
from helpers.kept_profiles import keep_profile
from helpers.simulated_cohorts import keep_cohort, simulate

from histome.config import Config
from histome.report import render_report

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[3] / "docs" / "paper-table.md"
LINES = re.findall(r"^(histome cohort .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
MADE = {
    "report": "out/answers/index.html",
    "table": "out/answers/tables/patients.parquet",
    "sql": "nuclei.csv",
    "publish": "dataset/SHA256SUMS",
    "reference": "breast.parquet",
}
for _extra in ("lifelines", "duckdb"):
    pytest.importorskip(_extra, reason="the extra cohort")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cohort `out`: planted effects by number, the same few cells in every slide."""
    folder = tmp_path_factory.mktemp("paper")
    cohort = simulate(60, seed=8, twice=0.02)
    rows = [{**row, "center": "NS"[k % 2]} for k, row in enumerate(cohort.rows)]
    keep_cohort(folder / "out", cohort._replace(rows=rows))
    drawn = keep_profile(folder / "drawn").path
    for row in rows:
        for stage in ("qc", "tissue", "cells"):
            shutil.copytree(drawn / stage, folder / "out" / row["slide"] / stage)
    return folder


@pytest.mark.parametrize("line", LINES)
def test_a_line_does_what_the_page_says(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)[1:]
    if "--harmonize" in words:
        pytest.importorskip("combatlearn", reason="the extra harmonize")
    monkeypatch.chdir(folder)
    code, said, err = Cli(capsys)(*words)
    assert (code, err) == (0, ""), err
    assert said
    kind = words[1]
    made = MADE.get(kind) or next(str(path) for path in Path("out/answers").glob(f"{kind}*/index.html"))
    assert Path(made).stat().st_size > 100
    if "--tokens" in words:
        assert [name for name in pq.read_schema(made).names if name.startswith("PHENOTYPE_")]
    if held := [word for before, word in pairwise(words) if before == "--covariate"]:
        page = Path(made).read_text(encoding="utf-8")
        assert f"held still: {', '.join(held)}" in page or f"alone with {', '.join(held)}," in page


def test_its_settings_bring_the_ranges_into_a_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (line,) = (each for each in LINES if each.startswith("histome cohort reference"))
    assert Cli(capsys)(*shlex.split(line)[1:])[0] == 0
    (settings,) = re.findall(
        r"^```\n(\[report\]\n.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.M
    )
    Path("settings.toml").write_text(settings)
    metrics = profiles.make_metrics({"CELL_PERCENTAGE_LYMPHOCYTE": 45.0})
    config = Config.from_toml(Path("settings.toml")).report
    page = render_report(profiles.make_profile(metrics=metrics), profiles.make_slide(tmp_path), config)
    assert "5th to 95th percentile of slides" in page
