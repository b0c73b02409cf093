"""The commands of `histome cohort` and their page."""

import csv
import re

import pyarrow.parquet as pq
import pytest
from helpers.cli import Cli
from helpers.simulated_cohorts import keep_cohort, simulate

COLUMNS = ("--by", "arm", "--time", "months", "--event", "died", "--batch", "scanner")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return keep_cohort(tmp_path_factory.mktemp("commands"), simulate(60, seed=8))


@pytest.fixture
def histome(capsys):
    return Cli(capsys)


def test_one_page_holds_every_answer(histome, out):
    pytest.importorskip("lifelines", reason="the extra cohort")
    code, said, _ = histome("cohort", "report", out, *COLUMNS, "--title", "<b>My & cohort</b>")
    page = (out / "answers" / "index.html").read_text(encoding="utf-8")
    assert code == 0
    assert said.strip().endswith("index.html")
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Which slides are unlike the others?",
        "Can the scanner be told from the numbers?",
        "Inflamed, excluded or desert?",
        "Do the groups of arm differ?",
        "The groups of arm in a model",
        "How long without the event?",
        "Which numbers go with survival?",
        "All numbers together",
        "Are there kinds of tumors?",
    ]
    assert "&lt;b&gt;My &amp; cohort&lt;/b&gt;" in page
    assert page.count("<svg") == 8  # all but the model that the events do not carry
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org)", page)
    assert "<script" not in page
    files = re.findall(r'<a href="(\w+\.csv)">\1</a> \(', page)
    assert len(files) == 11
    for name in files:
        assert (out / "answers" / name).is_file()
    assert "per mm² carcinoma" in page


def test_a_section_that_cannot_be_answered_says_why(histome, out):
    code, _, _ = histome("cohort", "report", out, "--by", "stain", "-o", out / "why")
    page = (out / "why" / "index.html").read_text(encoding="utf-8")
    assert code == 0
    assert "Not answered: column &#39;stain&#39; holds only &#39;H&amp;E&#39;" in page


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("compare", "--by", "arm", "--metric", "CELL_DENSITY_*"), "compare_arm/compare_arm.csv"),
        (("immune", "--by", "arm"), "immune/immune.csv"),
        (("batch", "--batch", "scanner"), "batch_scanner/batch_scanner.csv"),
        (("outliers",), "outliers/outliers.csv"),
        (("clusters",), "clusters/clusters.csv"),
    ],
)
def test_each_question_alone(histome, out, words, file):
    code, said, err = histome("cohort", words[0], out, *words[1:])
    assert (code, err) == (0, "")
    path = out / "answers" / file
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert rows
    assert path.parent.joinpath("index.html").is_file()
    assert said.strip().splitlines()[-1].endswith("index.html")
    if words[0] == "compare":
        assert {row["metric"].startswith("CELL_DENSITY_") for row in rows} == {True}


def test_tables_sql_and_reference(histome, out):
    assert histome("cohort", "table", out)[0] == 0
    assert len(pq.read_table(out / "answers" / "tables" / "patients.parquet")) == 60
    pytest.importorskip("duckdb", reason="the extra cohort")
    code, said, _ = histome(
        "cohort", "sql", out, "SELECT arm, count(*) AS n FROM slides GROUP BY arm ORDER BY arm"
    )
    assert code == 0
    assert said.splitlines()[0] == "arm\tn"
    assert histome("cohort", "sql", out, "SELECT 1 AS a", "--to", out / "a.csv")[0] == 0
    assert (out / "a.csv").read_text() == '"a"\n1\n'
    code, said, _ = histome("cohort", "reference", out, "-o", out / "r.parquet")
    assert "ranges of all, breast, colon" in said


def test_wrong_use_is_one_line(histome, out, tmp_path):
    histome.fails("cohort", "compare", tmp_path, "--by", "arm", code=1, word="no manifest that can be read")
    histome.fails("cohort", "compare", out, "--by", "sex", code=1, word="has no column 'sex'")
    histome.fails(
        "cohort", "compare", out, "--by", "arm", "--each", "cell", code=2, word="choose from patient"
    )
    histome.fails("cohort", "compare", out, "--by", "arm", "--metric", "X_*", code=2, word="no metric 'X_*'")
    histome.fails("cohort", "sql", out, "SELECT 1", "--to", out / "a.txt", code=2, word=".csv or .parquet")
    histome.fails("cohort", "publish", out, out / "d", "--license", "MIT", code=2, word="; give CC0-1.0 or")


def test_harmonizing_needs_its_extra(histome, out):
    try:
        import combatlearn  # noqa: F401
    except ImportError:
        line = "pip install 'histome[harmonize]'"
        histome.fails("cohort", "compare", out, "--by", "arm", "--harmonize", "scanner", code=2, word=line)
    else:
        code, _, _ = histome(
            "cohort", "compare", out, "--by", "arm", "--harmonize", "scanner", "-o", out / "h"
        )
        assert code == 0
        assert "ComBat over scanner, kept: arm" in (out / "h" / "compare_arm.csv").read_text()
