"""The narrative on the page: numbers marked with their metric, sources listed, nothing of it unescaped."""

import re
from typing import Any

import pytest
from helpers import profiles
from helpers.page import CONFIG, HOSTILE, Page

from histome.metrics.format import MetricTable
from histome.narrative.facts import Facts
from histome.narrative.sentences import Dropped, Narrative, Sentence, Source
from histome.narrative.writers.verified import write
from histome.report import render_report
from histome.report.narrative import narrative_page
from histome.slide import Slide

METRICS = MetricTable(profiles.make_metrics())


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return profiles.make_slide(tmp_path_factory.mktemp("slide"))


def render(slide: Slide, narrative: dict[str, Any]) -> str:
    return render_report(profiles.make_profile(narrative=narrative), slide, CONFIG)


def section(text: str) -> str:
    return re.findall(r'<section id="narrative".*?</section>', text, re.S)[0]


def test_every_number_is_marked_and_every_sentence_is_linked(slide: Slide) -> None:
    narrative = write(Facts.of_slide(METRICS, {}))
    text = section(render(slide, narrative.to_json()))
    page = Page(text)
    marked = page.all("data")
    assert len(marked) == len([s for one in narrative.sentences for s in one.sources if s.text]) > 5
    for number in marked:
        assert float(number["value"] or "") == METRICS[number["data-source"] or ""].value
    links = [a["href"] for a in page.all("a")]
    assert links == [f"#rests-{k}" for k in range(1, len(narrative.sentences) + 1)]
    for link in links:
        assert f'id="{(link or "")[1:]}"' in text
    for one in narrative.sentences:
        for source in one.sources:
            assert f"<code>{source.name}</code>" in text


def test_it_follows_picture_and_verdict_and_folds_after_its_first_paragraph(slide: Slide) -> None:
    text = render(slide, write(Facts.of_slide(METRICS, {})).to_json())
    ids = [attrs["id"] for attrs in Page(text).all("section")]
    assert ids[:3] == ["overview", "verdict", "narrative"]
    assert '<a href="#narrative">' in text
    shown, folded, _ = section(text).partition("<details")
    assert folded
    assert shown.count('class="topic"') == 1 < section(text).count('class="topic"')


def test_a_language_model_that_failed_is_told(slide: Slide) -> None:
    made = Narrative(
        (Sentence("Quiet.", (Source("A", 1.0),), "immune"),),
        asked="openai",
        supported=3,
        contradicted=1,
        dropped=(Dropped("Dead cells make up 40 %.", "'40 %' (number)"),),
        note="The text of the writer 'openai' is not shown: it claimed '40 %'. This is the grounded text.",
    )
    words = Page(section(render(slide, made.to_json()))).words()
    assert "The text of the writer 'openai' is not shown: it claimed '40 %'." in words
    assert "of 4 sentences 3 supported, 1 contradicted, 0 not checkable (hallucination rate 25 %)" in words
    assert "Dead cells make up 40 %." in words


def test_hostile_words_stay_text(slide: Slide) -> None:
    made = Narrative(
        (Sentence(HOSTILE, (Source(HOSTILE, HOSTILE),), ""),),
        note=HOSTILE,
        dropped=(Dropped(HOSTILE, HOSTILE),),
    )
    text = render(slide, made.to_json())
    assert text.count("<script") == 1
    assert not [attrs for _, attrs in Page(text).tags if "onerror" in attrs]


def test_nothing_said_gives_no_section(slide: Slide) -> None:
    assert narrative_page(None) is None
    assert narrative_page(Narrative(()).to_json()) is None
    assert 'id="narrative"' not in render(slide, Narrative(()).to_json())


def test_sample_sizes_are_listed_but_not_marked_as_values() -> None:
    sentence = Sentence("It rests on 2 tiles.", (Source("SHARE.n", 2, "", "2"),), "immune")
    page = narrative_page(Narrative((sentence,)).to_json())
    assert page is not None
    (shown,) = page["paragraphs"][0]["sentences"]
    assert [part.source for part in shown["parts"]] == [""]
    assert shown["rests"] == [{"name": "SHARE.n", "text": "2", "unit": ""}]
