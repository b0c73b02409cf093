"""Tables as spreadsheets of several countries write them."""

import pytest

from histome.errors import DataError
from histome.tables import read_table


@pytest.mark.parametrize(
    "text",
    [
        "cell_id,score\na,1.5\nb,2\n",
        "cell_id;score\na;1,5\nb;2\n",
        "cell_id;score\r\na;1,5\r\nb;2\r\n",
        "cell_id;score\na;1.5\nb;2\n",
        "cell_id\tscore\na\t1.5\nb\t2\n",
        "\ufeffcell_id,score\na,1.5\nb,2\n",
        "# a published table\n# of two lines\ncell_id,score\na,1.5\nb,2\n",
    ],
)
def test_columns_and_decimals_are_found(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert read_table(path).to_pydict() == {"cell_id": ["a", "b"], "score": [1.5, 2.0]}


def test_the_row_of_another_width_is_not_echoed(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n\x01\x02\xff,3,4,name: M. Muster\n")
    with pytest.raises(DataError) as refused:
        read_table(tmp_path / "t.csv")
    assert str(refused.value).endswith(
        "not a table that can be read (CSV parse error: Expected 2 columns, got 4)"
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "Empty CSV file"),
        ("t.csv", b"a,b\n1\n", "Expected 2 columns, got 1"),
        ("t.parquet", b"a,b\n1,2\n", "not a table that can be read"),
        ("t.csv", "a,b\nM\xfcller,1\n".encode("latin-1"), "its text is not UTF-8.*column a"),
        ("t.csv", "gr\xf6\xdfe,b\n1,1\n".encode("latin-1"), "its text is not UTF-8"),
        ("t.csv", "a,b\n1,1\n".encode("utf-16"), "its text is not UTF-8"),
    ],
)
def test_what_is_none_is_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*{said}") as refused:
        read_table(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"t\.csv: not a table that can be read"):
        read_table(tmp_path / "t.csv")
