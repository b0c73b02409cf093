"""Names of files: shown without harm, and never the name of another folder."""

from pathlib import Path

import pytest

from histome.names import shown, slide_id


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
