"""The verifier on what it must catch, on sentences by pattern, and how its work grows with the text."""

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.drawn_profiles import SLIDES, facts_of
from helpers.given_facts import example

from histome.metrics.format import format_count
from histome.narrative.facts import Facts
from histome.narrative.language.lexicon import phrases
from histome.narrative.language.tokens import MOST_TOKENS
from histome.narrative.verifier import Checked, Tally, verify
from histome.narrative.writers.verified import grounded_sentences
from histome.phenotype.patch import describe

EXAMPLE = Facts.of_patch(example())
SENTENCES = Path(__file__).parent / "sentences"


class Written(NamedTuple):
    """A sentence of the files, true or false of a profile, and the way of putting it."""

    pattern: str
    category: str
    profile: str
    true: bool
    text: str

    @property
    def checked(self) -> Checked:
        """What the verifier says of it."""
        return _checked(self.text, self.profile)


@cache
def _checked(text: str, profile: str) -> Checked:
    (checked,) = verify(text, facts_of(profile)).sentences
    return checked


def written(part: str) -> Iterator[Written]:
    """Yield the sentences of a file."""
    pattern = category = ""
    for line in (SENTENCES / f"{part}.txt").read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[(.+): (.+)\]", line):
            pattern, category = head[1], head[2]
        elif found := re.fullmatch(r"([A-F]) ([TF]) (.+)", line):
            yield Written(pattern, category, found[1], found[2] == "T", found[3])


def test_there_are_five_hundred_sentences_and_no_pattern_in_both_parts() -> None:
    development, test = list(written("development")), list(written("test"))
    assert len(development) + len(test) >= 500
    assert not {one.pattern for one in development} & {one.pattern for one in test}
    assert len({one.text for one in (*development, *test)}) > 0.9 * (len(development) + len(test))


@pytest.mark.parametrize(
    ("part", "contradicted", "open_"),
    [("development", 0.01, 0.08), ("test", 0.05, 0.15), ("kept", 0.05, 0.15)],
)
def test_few_are_judged_wrongly(part: str, contradicted: float, open_: float) -> None:
    counts = Counter((one.true, one.checked.state) for one in written(part))
    true = sum(n for (is_true, _), n in counts.items() if is_true)
    false = sum(n for (is_true, _), n in counts.items() if not is_true)
    assert counts[False, "supported"] / false <= 0.03
    assert counts[True, "contradicted"] / true <= contradicted
    assert counts[True, "not checkable"] / true <= open_


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Inflammatory cells make up 68.6 %.", "number"),
        ("There are 4,510 nuclei.", "number"),
        ("Neoplastic cells make up 69.6 %.", "number"),
        ("The mean distance from immune to tumor cells is 136 µm.", "unit"),
        ("Neoplastic nuclei have a mean area of 3216 µm².", "unit"),
        ("The patch is immune cold.", "phenotype"),
        ("Neoplastic cells predominate.", "class"),
        ("Neoplastic cells outnumber inflammatory cells.", "comparison"),
        ("Epithelial cells are present.", "class"),
        ("There are no dead cells.", "class"),
    ],
)
def test_each_kind_of_falsehood_is_contradicted(text: str, kind: str) -> None:
    (checked,) = verify(text, EXAMPLE).sentences
    assert checked.state == "contradicted"
    assert {claim.kind for claim in checked.claims if claim.state == "contradicted"} == {kind}
    assert checked.reason


@pytest.mark.parametrize(
    "text",
    [
        "Neoplastic cells are radioresistant.",
        "Lymphocytes are seen.",
        "Mitoses are frequent.",
        "It is calm.",
        "Inflammatory.",
    ],
)
def test_what_is_not_understood_is_never_supported(text: str) -> None:
    (checked,) = verify(text, EXAMPLE).sentences
    assert checked.state == "not checkable"


@pytest.mark.parametrize("word", ["prognosis", "pembrolizumab", "Ki-67", "stage", "HER2", "patients"])
def test_clinical_words_are_refused(word: str) -> None:
    (checked,) = verify(f"Inflammatory cells make up 69.6 % of the cells, {word}.", EXAMPLE).sentences
    assert (checked.state, checked.claims[0].kind) == ("not checkable", "refused")
    assert word in checked.reason


REFUSED = (
    "poorly differentiated, well differentiated, moderately differentiated, G1, G2, G3, pT3, N1, M0, "
    "chemo, radiation, radiotherapy, surgery, cisplatin, tamoxifen, trastuzumab, docetaxel, imatinib, "
    "EGFR, KRAS, BRCA1, HER2, PD-L1, MSI, triple-negative, anaplastic, dysplasia, malignancy, "
    "metastatic, metastasis, progression, lethal, favorable, unfavorable, favo\u0075rable, survival, "
    "recurrence, relapse, response to"
)


@pytest.mark.parametrize("word", REFUSED.split(", "))
def test_words_of_the_clinic_are_refused(word: str) -> None:
    (checked,) = verify(f"The carcinoma shows {word}.", EXAMPLE).sentences
    assert [claim.kind for claim in checked.claims] == ["refused"]


def test_a_malignant_tumor_is_refused_and_malignant_cells_are_not() -> None:
    assert verify("The tumor is malignant.", EXAMPLE).sentences[0].claims[0].kind == "refused"
    assert verify("There are 1,290 malignant cells.", EXAMPLE).tally == Tally(supported=1)


@pytest.mark.parametrize(
    "text",
    [
        "Plasma cells lie in the stroma next to the carcinoma.",
        "Most lymphocytes lie in the stroma directly beside the carcinoma.",
        "Most macrophages lie in the stroma around the tumor.",
        "Most lymphocytes lie in the adjacent stroma.",
        "Carcinoma cells make up half of the tissue.",
        "Lymphocytes, 25 % of the tissue, are clustered.",
        "Half of the tissue is carcinoma cells.",
        "As expected, lymphocytes make up 25 % of the cells.",
        "Lymphocytes are characteristically clustered.",
        "Lymphocytes are significantly denser in the stroma than in the carcinoma.",
        "Lymphocytes already make up 25 % of the cells.",
        "Lymphocytes are found throughout the stroma.",
    ],
)
def test_no_part_of_the_meaning_is_dropped(text: str) -> None:
    assert verify(text, facts_of("A")).tally == Tally(not_checkable=1)


@pytest.mark.parametrize(
    ("profile", "text", "state"),
    [
        ("F", "Neoplastic and inflammatory cells are about equally frequent.", "contradicted"),
        ("A", "Not one fibroblast was detected.", "contradicted"),
        ("E", "Inflammatory nuclei exceed neoplastic nuclei in size.", "contradicted"),
        ("A", "The lymphocytes are not 3,100.", "not checkable"),
        ("A", "Lymphocytes occur only inside carcinoma.", "contradicted"),
        ("A", "The stroma holds 1,300 of the 2,380 fibroblasts.", "contradicted"),
        ("A", "The median distance from lymphocytes to the stroma is 42 µm.", "not checkable"),
        ("A", "The outer margin has fewer than twice the lymphocyte density of the core.", "contradicted"),
        ("A", "Lymphocytes outnumber macrophages, which are tired.", "not checkable"),
        ("B", "Most macrophages lie in the stroma.", "not checkable"),  # one half
        ("B", "The cells are overwhelmingly lymphocytes.", "contradicted"),
        ("D", "In the carcinoma, lymphocytes outnumber macrophages.", "contradicted"),
        ("D", "Lymphocytes outnumber macrophages in the carcinoma.", "not checkable"),  # all of them do
        ("D", "No lymphocyte lies outside the stroma.", "contradicted"),
        ("D", "Fibroblasts outnumber lymphocytes by 600.", "contradicted"),
        ("C", "All but 1,700 of the plasma cells are stromal.", "contradicted"),
        ("C", "Granulocytes are less common than either lymphocytes or macrophages.", "contradicted"),
        ("A", "At 27.8 µm², lymphocyte nuclei are well above the carcinoma nuclei in area.", "contradicted"),
        ("A", "Most of the lymphocytes, 2,800 of 3,000, lie in the stroma.", "contradicted"),
        ("A", "Without exception, lymphocytes lie outside the carcinoma.", "contradicted"),
        ("D", "The lymphocytes are clustered, as the Clark-Evans index of 1.15 says.", "contradicted"),
        ("D", "Carcinoma cells are slightly in the lead.", "contradicted"),  # 1.8 times the next
        ("B", "The slide is not free of plasma cells.", "contradicted"),
        ("E", "Inflammatory nuclei exceed neoplastic nuclei.", "not checkable"),  # more, and smaller
        ("C", "Only a minority of the granulocytes inhabit the stroma.", "not checkable"),  # most of them do
        ("D", "Stromal plasma cells are entirely lacking in this tumour.", "not checkable"),
        ("A", "Lymphocytes live in the carcinoma.", "not checkable"),  # a fifth of them do
        ("B", "The slide is teeming with immune cells.", "contradicted"),
        ("B", "The tumor is full of lymphocytes.", "contradicted"),
        ("C", "Lymphocytes outnumber plasma cells, which number 3,600.", "contradicted"),
        ("C", "Lymphocytes outnumber plasma cells, which number 1,800.", "supported"),
        ("A", "Carcinoma covers less than stroma, which takes up 28.6 %.", "not checkable"),
        ("A", "Excluded tiles and desert tiles take 10 % and 30 %, respectively.", "contradicted"),
        ("C", "Spanning 3 mm², epithelial tissue is half as large as the stroma.", "contradicted"),
        ("A", "Counted in stroma alone, lymphocytes number 3,000.", "not checkable"),
        ("C", "Lymphocytes, whose Clark-Evans index is 1.55, are clustered.", "contradicted"),
        ("E", "Inflammatory nuclei are outnumbered by neoplastic nuclei.", "contradicted"),
    ],
)
def test_no_construction_lets_a_falsehood_pass(profile: str, text: str, state: str) -> None:
    (checked,) = verify(text, facts_of(profile)).sentences
    assert checked.state == state


@pytest.mark.parametrize(
    "text",
    [
        "The model found that lymphocytes account for 25% of cells, and carcinoma cells for half of them.",
        "It was found that 25 % of all cells are lymphocytes.",
        "A quarter of the cells were labelled as lymphocytes by the algorithm.",
        "Lymphocytes (25 %) were recognised by our software.",
        "525 lymphocytes per sq mm of stroma were counted.",
        "Lymphocyte density in the stroma: 525 cells mm⁻².",
        "Stroma : carcinoma = 2 : 1.",
    ],
)
def test_verbs_and_order_do_not_matter(text: str) -> None:
    (checked,) = verify(text, facts_of("A")).sentences
    assert checked.state == "supported", checked.reason


def told(reason: str) -> list[str]:
    """Return the values that a reason tells."""
    start = "the facts say otherwise: "
    return reason.removeprefix(start).split("; ") if reason.startswith(start) else []


@pytest.mark.parametrize("part", ["development", "test", "kept"])
def test_a_reason_names_a_value_with_what_it_is(part: str) -> None:
    equations = computed = 0
    for one in written(part):
        facts = facts_of(one.profile)
        for each in () if one.true else told(one.checked.reason):
            name, equal, printed = each.partition(" = ")
            if equal:
                source = facts.source(name)
                own = name.removeprefix(facts.kind.prefix)
                assert isinstance(source.value, int | float), each
                if name.endswith(".n"):
                    assert printed == format_count(source.value), one.text
                else:
                    assert printed == facts.kind.printed(own, source.value, source.unit), one.text
                equations += 1
            elif found := re.search(r"\(from (.+?)(?: and \d+ more)?\)$", each):
                assert all(facts.source(name).value is not None for name in found[1].split(", ")), each
                computed += 1
            else:
                assert each == "100\N{NO-BREAK SPACE}%", one.text  # "half of the lymphocytes are lymphocytes"
    assert equations > 0
    assert computed > 0


@pytest.mark.parametrize(
    ("text", "otherwise"),
    [
        ("Lymphocytes make up 99 % of the cells.", "CELL_PERCENTAGE_LYMPHOCYTE = 25.0 %"),
        ("The tumor measures 5 mm2.", "ABSOLUTE_AREA_CARCINOMA = 2.00 mm²"),
        (
            "80 % of the lymphocytes lie in the carcinoma.",
            "20.0 % (from CELL_COUNT_LYMPHOCYTE_CARCINOMA, CELL_COUNT_LYMPHOCYTE)",
        ),
        ("The lymphocyte density is 100 per mm2.", "429 per mm² (from CELL_COUNT_LYMPHOCYTE, ABSOLUTE_AREA)"),
        (
            "Stroma and carcinoma together cover 2 mm2.",
            "6.00 mm² (from ABSOLUTE_AREA_STROMA, ABSOLUTE_AREA_CARCINOMA)",
        ),
        (
            "The ratio of lymphocytes to macrophages is 2.",
            "3.75 (from CELL_COUNT_LYMPHOCYTE, CELL_COUNT_MACROPHAGE)",
        ),
        (
            "Lymphocytes outnumber macrophages by 600.",
            "2 200 (from CELL_COUNT_LYMPHOCYTE, CELL_COUNT_MACROPHAGE)",
        ),
        (
            "Nine tenths of the lymphocytes lie outside the stroma.",
            "30.0 % (from CELL_COUNT_LYMPHOCYTE_STROMA, CELL_COUNT_LYMPHOCYTE)",
        ),
    ],
)
def test_a_reason_says_what_was_compared_in_its_own_unit(text: str, otherwise: str) -> None:
    (checked,) = verify(text, facts_of("A")).sentences
    spaces = {0xA0: " ", 0x202F: " "}
    assert [each.translate(spaces) for each in told(checked.reason)] == [otherwise]


def test_a_sum_of_cells_is_not_called_the_count_of_one_class() -> None:
    (checked,) = verify("There are 12,000 cells in the tumor.", facts_of("A")).sentences
    assert [each.split(" (from ")[0] for each in told(checked.reason)] == ["6\N{NARROW NO-BREAK SPACE}370"]


@pytest.mark.parametrize("many", ["5 tumors", "6,000 tumors", "6,000 tumor nests", "five carcinomas"])
def test_how_many_tumors_there_are_is_not_known(many: str) -> None:
    for sentence in (f"There are {many}.", f"We count {many} on the slide."):
        assert verify(sentence, facts_of("A")).tally == Tally(not_checkable=1)
    assert verify("There are 5 tumor regions.", facts_of("A")).tally == Tally(supported=1)
    assert verify("The tumor nests number 6,000.", facts_of("A")).tally == Tally(not_checkable=1)


def test_no_text_aborts() -> None:
    rng = random.Random(0)
    sentences = [(one.profile, one.text.split()) for one in written("development")]
    phrase = [" ".join(words) for words in phrases("slide")[0]]
    for _ in range(120):
        (profile, words), (_, others) = rng.choices(sentences, k=2)
        at = rng.randrange(len(words))
        mixed = [*words[:at], rng.choice(phrase), *others[rng.randrange(len(others)) :]]
        verify(" ".join(mixed), facts_of(profile))
        verify(" ".join(rng.choices(phrase, k=6)), facts_of(profile))


def test_half_a_sentence_is_not_enough() -> None:
    told = "Inflammatory cells make up 69.6 % of the cells"
    assert verify(f"{told}.", EXAMPLE).tally == Tally(supported=1)
    assert verify(f"{told} and are exhausted.", EXAMPLE).tally == Tally(not_checkable=1)
    assert verify(f"{told} and neoplastic cells 48 %.", EXAMPLE).tally == Tally(contradicted=1)


def test_the_printed_digits_are_the_tolerance() -> None:
    for share, state in (
        ("70", "supported"),
        ("69.6", "supported"),
        ("69.61", "supported"),
        ("69.62", "contradicted"),
    ):
        assert verify(f"Inflammatory cells make up {share} %.", EXAMPLE).sentences[0].state == state


@pytest.mark.parametrize("size", ["22", "about 62.4", "6,000"])  # the last is how many there are
@pytest.mark.parametrize("who", ["Carcinoma nuclei", "The nuclei of carcinoma cells", "Carcinoma cells"])
def test_a_size_without_a_unit_is_open_and_no_count(who: str, size: str) -> None:
    (checked,) = verify(f"{who} measure {size}.", facts_of("A")).sentences
    assert (checked.state, checked.reason) == ("not checkable", "a size without a unit")


def test_a_number_that_was_measured_is_a_count() -> None:
    for text in ("We measured 3,000 lymphocytes.", "The number of lymphocytes measures 3,000."):
        assert verify(text, facts_of("A")).tally == Tally(supported=1)
        assert verify(text.replace("3,000", "3,900"), facts_of("A")).tally == Tally(contradicted=1)


def test_a_number_that_is_another_s_is_not_taken() -> None:
    passed = [
        n
        for n in range(1, 100)
        if verify(f"Lymphocytes make up {n} % of the cells.", facts_of("A")).tally.supported
    ]
    assert passed == [25]


@pytest.mark.parametrize("profile", [*SLIDES, "E", "F"])
def test_the_grounded_text_is_supported(profile: str) -> None:
    facts = facts_of(profile)
    verdict = verify("\n".join(sentence.text for sentence in grounded_sentences(facts)), facts)
    assert [(one.text, one.reason) for one in verdict.unsupported] == []


def calls(text: str) -> int:
    """Return the number of Python calls that verifying a text takes."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        verify(text, EXAMPLE)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "piece",
    [
        "There are {k} cells. ",
        "{k}, ",
        "lymphocytes and ",
        "((",
        "Inflammatory cells ({k} %), ",
        "no ",
        "of the cells ",
        "{k}",
    ],
)
def test_work_grows_no_faster_than_the_text(piece: str) -> None:
    verify("There are 4,501 nuclei.", EXAMPLE)  # the vocabulary is read once
    short, long = (calls("".join(piece.format(k=k) for k in range(n))) for n in (200, 800))
    assert long <= 4.4 * short + 500


def test_a_sentence_too_long_is_not_read() -> None:
    (checked,) = verify("no " * (MOST_TOKENS + 1) + "cells", EXAMPLE).sentences
    assert (checked.state, checked.claims) == ("not checkable", ())


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("The tumor has invaded the vessels.", "not checkable"),
        ("Carcinoma infiltrates the stroma.", "not checkable"),
        ("600 lymphocytes infiltrate the carcinoma.", "supported"),
        ("The tumor is immune-inflamed.", "supported"),
        ("The tumor is entirely immune-inflamed.", "contradicted"),
        ("The entire tumor is immune-inflamed.", "not checkable"),
    ],
)
def test_what_a_tumor_does_and_what_all_of_it_is_are_more_than_its_label(text: str, state: str) -> None:
    (checked,) = verify(text, facts_of("A")).sentences
    assert checked.state == state


@pytest.mark.parametrize(
    "degree", ["hardly", "barely", "scarcely", "rarely", "seldom", "almost", "not quite"]
)
def test_a_label_says_nothing_of_a_degree(degree: str) -> None:
    for sentence in (
        f"The tumor is {degree} immune-inflamed.",
        f"The tumor is {degree} stroma-rich.",
        f"Lymphocytes are {degree} clustered.",
    ):
        assert verify(sentence.replace(f" {degree}", ""), facts_of("A")).tally.supported == 1
        assert verify(sentence, facts_of("A")).tally.supported == 0
    patch = EXAMPLE
    assert verify("The infiltrate is excluded.", patch).tally.supported == 1
    assert verify(f"The infiltrate is {degree} excluded.", patch).tally.supported == 0


@pytest.mark.parametrize(
    "sentence",
    [
        "It is immune hot.",
        "It is not immune hot.",
        "There is no heavy infiltrate.",
        "Tumor purity is low.",
        "The infiltrate is not in direct contact.",
        "Neoplastic nuclei are not enlarged.",
    ],
)
def test_where_an_axis_has_no_label_nothing_is_so_or_not_so(sentence: str) -> None:
    assert verify(sentence, EXAMPLE).tally.not_checkable == 0
    without = replace(EXAMPLE, labels=dict.fromkeys(EXAMPLE.labels), tokens=())
    assert verify(sentence, without).tally.not_checkable == 1


def test_what_denies_a_label_rests_on_the_label_of_its_axis() -> None:
    (checked,) = verify("The tumor is not immune-excluded.", facts_of("A")).sentences
    assert (checked.state, checked.claims[0].sources) == ("supported", ("interpretation.immune",))


@pytest.mark.parametrize(
    "sentence",
    [
        "The tumor is entirely stroma-free.",
        "The tumor is exclusively immune-excluded.",
        "No enlarged nuclei were found.",
        "No bystander immune cells were found.",
        "The stroma is stroma-free.",
    ],
)
def test_a_label_of_a_mean_or_share_says_nothing_of_all_or_none(sentence: str) -> None:
    few = replace(EXAMPLE, labels={**EXAMPLE.labels, "morphology": "Small/Monotonous"}, tokens=())
    assert verify(sentence, EXAMPLE).tally.supported == verify(sentence, few).tally.supported == 0


def test_the_tumor_has_no_label_where_the_grounded_text_withholds_it() -> None:
    def labels(n: int = 40, **values: float) -> dict[str, str | None]:
        rows = SLIDES["A"].metrics()
        shown = rows["IMMUNE_INFLAMED_SHARE"]
        rows |= {name: shown._replace(value=value) for name, value in values.items()}
        return dict(Facts.of_slide(rows | {"IMMUNE_INFLAMED_SHARE": shown._replace(n=n)}, {}).labels)

    every = labels()
    assert every["immune"] == "Immune Inflamed"
    assert labels(n=9) == every | {"immune": None}
    tumor = dict.fromkeys(("composition", "immune", "stroma"))
    assert labels(UNFAMILIAR_FRACTION_ALL=0.6) == every | tumor
    assert labels(CELL_COUNT_CARCINOMA_CELL_CARCINOMA=1000.0) == every | tumor


@pytest.mark.parametrize(
    "sentence",
    [
        "Tumor purity is low.",
        "The tumor is desmoplastic with a fibrotic barrier.",
        "The patch is desmoplastic.",
        "The tumor is an immune desert.",
    ],
)
@pytest.mark.parametrize("compatible", [False, True])
def test_without_neoplastic_cells_nothing_on_a_tumor_is_supported(sentence: str, compatible: bool) -> None:
    counts = {"Neoplastic": 0, "Inflammatory": 20, "Connective": 340, "Dead": 0, "Epithelial": 0}
    raw = {"total_cell_count": 360} | {f"count_{name}": n for name, n in counts.items()}
    raw |= {f"ratio_{name}": n / 360 for name, n in counts.items()}
    facts = Facts.of_patch(describe(raw, unit="px", compatible=compatible))
    assert verify(sentence, facts).tally.supported == compatible  # as published whatever the cells are
    assert verify(sentence, facts).tally.contradicted == 0


def test_a_pattern_of_few_lymphocytes_is_open() -> None:
    rows = SLIDES["A"].metrics()
    for n, supported in ((19.0, 0), (20.0, 1)):
        rows["CELL_COUNT_LYMPHOCYTE"] = rows["CELL_COUNT_LYMPHOCYTE"]._replace(value=n)
        assert verify("Lymphocytes are clustered.", Facts.of_slide(rows, {})).tally.supported == supported


def test_no_nuclei_is_open_where_some_were_left_out() -> None:
    empty = describe({"total_cell_count": 0}, unit="um")
    for left_out, state in ((0, "supported"), (12, "not checkable")):
        facts = Facts.of_patch(empty | {"cells_left_out": left_out})
        assert verify("No nuclei were found.", facts).sentences[0].state == state
