"""Reading texts: sentences, numbers with units, words for classes and phenotypes."""

import pytest

from histome.narrative import claims


def test_sentences_end_where_they_end() -> None:
    text = (
        "Of 4,501 nuclei 28.66 % are dead. See approx. Twenty of them. It is hot!\n- A list item\n\n* 12 %."
    )
    assert claims.split_sentences(text) == [
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
        ("\N{MINUS SIGN}0.4", -0.4, 0.05, None),
        ("two aggregates", 2, 0.5, None),
    ],
)
def test_a_number_with_its_unit(text: str, value: float, half: float, dimension: str | None) -> None:
    (number,) = claims.find_numbers(f"There it is: {text}.")
    assert number.value == pytest.approx(value)
    assert number.half_digit == pytest.approx(half)
    assert number.dimension == dimension


@pytest.mark.parametrize("text", ["CD8 cells", "p53", "Ki67 and HER2", "no number", "two-fold"])
def test_what_is_no_number(text: str) -> None:
    assert claims.find_numbers(text) == []


def test_a_range_is_two_numbers() -> None:
    assert [n.value for n in claims.find_numbers("from 20-50 µm")] == [20, 50]


def test_the_longest_term_wins() -> None:
    terms = [
        m.term for m in claims.find_mentions("carcinoma cells in carcinoma, plasma cells in stroma", "slide")
    ]
    assert terms == ["carcinoma_cell", "CARCINOMA", "plasma_cell", "STROMA"]
    terms = [m.term for m in claims.find_mentions("non-neoplastic epithelial and neoplastic cells", "patch")]
    assert terms == ["Epithelial", "Neoplastic"]


def test_parts_of_a_sentence() -> None:
    sentence = "Of 9 cells, 3 (33 %, few) are dead and 2 neoplastic; none is large."
    parts = [sentence[a:b] for a, b in claims.split_chunks(sentence, claims.find_numbers(sentence))]
    assert parts == ["Of 9 cells", ", 3 (33 %, few) are dead ", "and 2 neoplastic", "; none is large."]
