"""Reading texts: sentences, numbers with units, amounts in words."""

import pytest

from histome.narrative.language.amounts import Amount
from histome.narrative.language.pieces import Unread
from histome.narrative.language.reading import read_tokens
from histome.narrative.language.tokens import lexemes, split_sentences


def test_sentences_end_where_they_end() -> None:
    text = (
        "Of 4,501 nuclei 28.66 % are dead. See approx. Twenty of them. It is hot!\n- A list item\n\n* 12 %."
    )
    assert split_sentences(text) == [
        "Of 4,501 nuclei 28.66 % are dead.",
        "See approx. Twenty of them.",
        "It is hot!",
        "A list item",
        "12 %.",
    ]


@pytest.mark.parametrize(
    ("text", "value", "half", "dimension"),
    [
        ("28.66 %", 28.66, 0.005, "share"),
        ("28.7 percent", 28.7, 0.05, "share"),
        ("4,501 nuclei", 4501, 0.5, None),
        ("4\N{NARROW NO-BREAK SPACE}501 nuclei", 4501, 0.5, None),
        ("136.1\N{NO-BREAK SPACE}px", 136.1, 0.05, "pixel length"),
        ("3216 px²", 3216, 0.5, "pixel area"),
        ("61.5 µm²", 61.5, 0.05, "area"),
        ("61.5 um2", 61.5, 0.05, "area"),
        ("2.5 mm²", 2.5, 0.05, "area"),
        ("2,613 per mm²", 2613, 0.5, "density"),
        ("2613 cells/mm2", 2613, 0.5, "density"),
        ("149 µm", 149, 0.5, "length"),
        ("0.27 bits", 0.27, 0.005, "bits"),
        ("1.5e-3", 1.5e-3, 5e-5, None),
        ("3.2 \N{MULTIPLICATION SIGN} 10⁻⁵", 3.2e-5, 5e-7, None),
    ],
)
def test_a_number_with_its_unit(text: str, value: float, half: float, dimension: str | None) -> None:
    (number,) = (one.number for one in lexemes(f"there it is: {text}.") if one.number)
    assert number.value == pytest.approx(value)
    assert number.half == pytest.approx(half)
    assert number.dimension == dimension


@pytest.mark.parametrize("text", ["CD8 cells", "p53", "Ki67 and HER2", "no number"])
def test_what_is_no_number(text: str) -> None:
    assert not [one for one in lexemes(text.lower()) if one.number]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("about a quarter", 0.26, 0.32),
        ("one in eight", 0.125, 0.2),
        ("nearly two thirds", 0.64, 0.7),
        ("more than half", 0.51, 0.49),
        ("seven out of ten", 0.7, 0.5),
        ("between 20 and 30 %", 0.25, 0.31),
        ("the vast majority", 0.9, 0.6),
        ("hundreds", 400, 72),
        ("almost 6 to 1", 5.7, 6.5),
        ("2:1", 2.0, 2.6),
        ("2.5-fold", 2.5, 2.6),
        ("two dozen", 24, 40),
        ("at least 1,000", 1800, 999),
        ("no more than 2 %", 0.01, 0.03),
        ("slightly over 10 %", 0.11, 0.2),
    ],
)
def test_amounts_in_words_are_intervals(text: str, inside: float, outside: float) -> None:
    (token,) = (one for one in read_tokens(text, "slide") if one.has("QF"))
    amount: Amount = token.kinds.get("Q") or token.kinds["F"]
    assert amount.test(inside) is True
    assert amount.test(outside) is False


def test_between_true_and_false_words_leave_it_open() -> None:
    (token,) = (one for one in read_tokens("about a quarter", "slide") if one.has("Q"))
    assert token.kinds["Q"].test(0.29) is None


@pytest.mark.parametrize("text", ["lymphocytes are exhausted", "@lymphocytes", "lymphocytes (25 %"])
def test_what_is_outside_of_the_vocabulary_is_not_read(text: str) -> None:
    with pytest.raises(Unread):
        read_tokens(text, "slide")
