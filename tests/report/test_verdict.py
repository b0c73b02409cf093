"""The first lines say what was measured and what not to believe; three warnings are on top, no more."""

import re

import pytest
from helpers import profiles
from helpers.page import CONFIG, Page

from histome.caveats.codes import CODES, caveat
from histome.metrics.format import MetricTable
from histome.report import render_report
from histome.report.verdict import (
    MOST_ON_TOP,
    NOT_TO_BELIEVE,
    OF_MODELS,
    doubts,
    numbers_that_matter,
    told_apart,
)
from histome.slide import Slide

TOLD = (
    "ORGAN_NOT_SEEN",
    "LOW_CONFIDENCE",
    "MODELS_DISAGREE",
    "MANY_ABSTAINED",
    "ORGAN_NOT_STATED",
    *OF_MODELS,
)
WARNINGS = [caveat(code, f"{code} here.") for code in TOLD]


def test_three_are_on_top_and_none_is_lost() -> None:
    told = told_apart(WARNINGS)
    assert [each.code for each in told["on_top"]] == list(TOLD[:MOST_ON_TOP])
    assert [each.code for each in told["further"]] == ["MANY_ABSTAINED", "ORGAN_NOT_STATED"]
    assert [each.code for each in told["of_models"]] == list(OF_MODELS)


def test_a_note_is_never_on_top() -> None:
    assert told_apart([caveat("ORGAN_NOT_STATED", "State it.")])["on_top"] == []


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("ORGAN_NOT_STATED",), "1 note"),
        (("ORGAN_NOT_STATED", "TYPES_UNDECIDED"), "2 notes"),
        (("LOW_CONFIDENCE", "ORGAN_NOT_STATED"), "1 note"),
        ((*TOLD[:4], "SMALL_SAMPLE"), "2 further warnings"),
        (("LOW_CONFIDENCE", *OF_MODELS), ""),
    ],
)
def test_what_is_folded_is_called_what_it_is(codes: tuple[str, ...], words: str) -> None:
    assert told_apart([caveat(code, f"{code} here.") for code in codes])["folded"] == words


def test_those_of_one_code_are_one() -> None:
    both = [caveat("STAIN_OUTSIDE_TRAINING", f"Of the model {name}.") for name in "ab"]
    (one,) = told_apart(both)["on_top"]
    assert one.text == "Of the model a. Of the model b."


def test_every_alarm_says_what_not_to_believe() -> None:
    assert (
        {code for code, entry in CODES.items() if entry.severity == "alarm"}
        <= set(NOT_TO_BELIEVE)
        <= set(CODES)
    )


def test_doubts_are_the_gravest_with_what_and_why() -> None:
    found = doubts(WARNINGS)
    assert len(found) == MOST_ON_TOP
    assert found[0] == ("the classes of tissues and cells", "the models never saw this organ")


def test_three_numbers_with_plain_names() -> None:
    numbers = numbers_that_matter(MetricTable(profiles.make_metrics()))
    assert [number["label"] for number in numbers] == [
        "Carcinoma, share of tissue",
        "Lymphocytes per mm² of stroma",
        "Lymphocytes per mm² of carcinoma",
    ]


def test_what_must_not_be_believed_is_not_among_the_numbers_to_read() -> None:
    metrics = MetricTable(profiles.make_metrics())
    read = [number["label"] for number in numbers_that_matter(metrics, [caveat("MODELS_DISAGREE", "")])]
    assert read == [
        "Lymphocytes per mm² of stroma",
        "Lymphocytes, share of all cells",
        "Stroma, share of tissue",
    ]
    assert numbers_that_matter(metrics, [caveat("ORGAN_NOT_SEEN", "")]) == []


def test_cards_that_must_not_be_believed_say_so(slide: Slide) -> None:
    def doubtful(*codes: str) -> list[bool]:
        run = profiles.make_run(warnings=[caveat(code, "")._asdict() for code in codes])
        text = render_report(profiles.make_profile(run=run), slide, CONFIG)
        tiles = text[text.index('class="tiles"') : text.index('id="fields"')]
        return ["doubtful" in tile for tile in re.findall(r'class="(tile[^"]*)"><span', tiles)]

    # Area, cells, carcinoma, lymphocytes of cells, of carcinoma, of stroma.
    assert doubtful() == [False] * 6
    assert doubtful("MODELS_DISAGREE") == [False, False, True, False, True, False]
    assert doubtful("ORGAN_NOT_SEEN") == [False, False, True, True, True, True]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return profiles.make_slide(tmp_path_factory.mktemp("slide"))


def test_the_page_begins_with_them(slide: Slide) -> None:
    run = profiles.make_run(warnings=[each._asdict() for each in WARNINGS])
    text = render_report(profiles.make_profile(run=run), slide, CONFIG)
    verdict = text[text.index('class="verdict"') : text.index('class="tiles"')]
    assert "Do not believe" in verdict
    assert verdict.count('<li class="alarm"') + verdict.count('<li class="caution"') == 4
    folded = verdict.index("<summary>1 further warning, 1 note</summary>")
    assert verdict.index("MODELS_DISAGREE") < folded < verdict.index("MANY_ABSTAINED")
    assert "MODEL_LIMITS" not in verdict
    assert text.index('id="provenance"') < text.index("MODEL_LIMITS")


def test_without_doubts_it_points_to_the_limits(slide: Slide) -> None:
    words = Page(
        render_report(profiles.make_profile(run=profiles.make_run(warnings=[])), slide, CONFIG)
    ).words()
    assert "nothing else speaks against these numbers" in words
