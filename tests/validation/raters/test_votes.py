"""Reading long tables of votes: what is understood, what is refused in one line."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from histome.errors import DataError
from histome.validation.raters.consensus import REASONS, consensus_of
from histome.validation.raters.votes import MISSING, UNSURE, read_answers, read_votes

TABLE = """cell_id,rater,label,condition,slide
c2,ann,lymphocyte,HE,s1
c1,ann,fibroblast,HE,s1
c1,ben,unsure,HE,s1
c1,ann,lymphocyte,HE_IHC,s1
c3,ben,,HE,s2
c2,ben,lymphocyte,HE,s1
"""


@pytest.fixture
def write(tmp_path):
    def to(text, name="votes.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return to


def test_conditions_share_items_and_raters(write):
    votes = read_votes(write(TABLE))
    assert votes.items.tolist() == ["c1", "c2"]  # c3 has no vote
    assert votes.raters == ("ann", "ben")
    assert votes.labels == ("fibroblast", "lymphocyte")
    assert votes.codes["HE"].tolist() == [[0, UNSURE], [1, 1]]
    assert votes.codes["HE_IHC"].tolist() == [[1, MISSING], [MISSING, MISSING]]
    assert votes.columns["slide"].tolist() == ["s1", "s1"]


def test_parquet_says_the_same(write, tmp_path):
    rows = [line.split(",") for line in TABLE.splitlines()]
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    parquet.write_table(
        pa.table({name: list(values) for name, values in columns.items()}), tmp_path / "v.parquet"
    )
    a, b = read_votes(write(TABLE)), read_votes(tmp_path / "v.parquet")
    assert all((a.codes[name] == b.codes[name]).all() for name in a.codes)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cell,rater,label\na,b,c\n", "no column cell_id among cell, rater, label"),
        ("cell_id,rater,label\na,b,\n", "no row has a label"),
        ("cell_id,rater,label\na,b,x\nc,b,x\na,b,y\n", "rows 2 and 4 are votes of one rater on one cell"),
        ("cell_id,rater,label,slide\na,b,x,s1\na,c,x,s2\n", "cell a has two values of slide: 's2' and 's1'"),
    ],
)
def test_bad_tables_are_one_line(write, text, line):
    with pytest.raises(DataError, match=line):
        read_votes(write(text))


def test_an_unknown_label_is_named(write):
    with pytest.raises(DataError, match="unknown label 'lymphocyte'; known are fibroblast, other"):
        read_votes(write(TABLE), labels=("fibroblast", "other"))


def test_consensus_and_why_there_is_none(write):
    rows = ["cell_id,rater,label"]
    said = {
        "most": "xxy",
        "tied": "xy",
        "unsure": "x??",
        "one": "x",
    }
    for cell, labels in said.items():
        rows += [f"{cell},r{k},{label}" for k, label in enumerate(labels)]
    votes = read_votes(write("\n".join(rows)))
    found = consensus_of(votes, "all", at_least=2)
    by_item = dict(zip(votes.items.tolist(), found.reason.tolist(), strict=True))
    assert {name: REASONS[reason] for name, reason in by_item.items()} == {
        "most": "",
        "tied": "tie",
        "unsure": "mostly unsure",
        "one": "too few votes",
    }
    assert found.excluded() == {"tie": 1, "mostly unsure": 1, "too few votes": 1}
    alone = consensus_of(votes, "all", leave_out="r0")
    assert REASONS[alone.reason[votes.items.tolist().index("most")]] == "tie"  # x y are left


def test_answers_of_a_model(write):
    answers = read_answers(write("cell_id,label,confidence,abstained\na,x,0.5,true\nb,y,1.0,false\n"))
    assert answers["abstained"].tolist() == [True, False]
    assert answers["confidence"].tolist() == [0.5, 1.0]
    with pytest.raises(DataError, match="cell a has 2 rows"):
        read_answers(write("cell_id,label\na,x\na,y\n"))
    with pytest.raises(DataError, match="outside 0-1"):
        read_answers(write("cell_id,label,confidence\na,x,7\n"))
    with pytest.raises(DataError, match="confidence holds text"):
        read_answers(write("cell_id,label,confidence\na,x,high\n"))
    assert np.array_equal(read_answers(write("cell_id,label\n1,x\n"))["cell_id"], ["1"])
