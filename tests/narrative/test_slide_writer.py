"""The slide's paragraphs: every number is a metric, what is not there is not said, doubts are."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.given_facts import CARDS, metrics
from helpers.phantoms import small_phantom

from histome.metrics.format import MetricTable, MetricValue
from histome.narrative.facts import Facts, ModelNotes
from histome.narrative.sentences import Narrative
from histome.narrative.verifier import verify
from histome.narrative.writers.slide import describe_slide
from histome.pipeline import profile
from histome.store.profile import Profile

pytestmark = pytest.mark.slow

NUMBER = re.compile(r"\d+(?:\N{NARROW NO-BREAK SPACE}\d{3})*(?:\.\d+)?")


def text_of(**changes: float | None) -> str:
    return " ".join(sentence.text for sentence in describe_slide(made(metrics(**changes))))


def made(rows: dict[str, MetricValue]) -> Facts:
    return replace(Facts.of_slide(rows, {}), models=CARDS)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def assert_every_number_is_a_metric(narrative: Narrative, table: MetricTable) -> int:
    """Each number of each sentence, in order, is a source's metric (or its n) rounded as it is printed."""
    seen = 0
    for sentence in narrative.sentences:
        printed = [source for source in sentence.sources if source.text]
        numbers = NUMBER.findall(sentence.text)
        assert len(numbers) == len(printed), sentence.text
        for number, source in zip(numbers, printed, strict=True):
            row = table[source.name.removesuffix(".n")]
            stored = row.n if source.name.endswith(".n") else row.value
            assert stored == source.value
            value = float(number.replace("\N{NARROW NO-BREAK SPACE}", ""))
            half = 0.5 * 10.0 ** -len(number.partition(".")[2]) * (1 + 1e-9)
            assert stored is not None
            factors = {"um2": (1.0, 1e-6), "cells/um2": (1e6,), "1": (1.0, 100.0)}.get(row.unit, (1.0,))
            assert any(abs(stored * factor - value) <= half for factor in factors), (number, source)
            seen += 1
    return seen


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp("drawn")
    small_phantom(folder / "drawn.tif")
    return profile(folder / "drawn.tif", folder / "out", stages=["narrative"], workers=1)


def test_every_number_of_a_drawn_slide_is_in_its_metrics(drawn: Profile) -> None:
    narrative = Narrative.from_json(drawn.narrative)
    assert assert_every_number_is_a_metric(narrative, MetricTable(drawn.metrics)) > 20
    assert narrative.claims > 20
    assert narrative.hallucination_rate == 0.0


def test_every_number_of_a_real_slide_is_in_its_metrics(
    data_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    slide = data_dir("slides") / "CMU-1-Small-Region.svs"
    found = profile(slide, tmp_path, stages=["narrative"], workers=1)
    narrative = Narrative.from_json(found.narrative)
    assert assert_every_number_is_a_metric(narrative, MetricTable(found.metrics)) > 30
    assert narrative.unsupported == 0


def test_the_narrative_is_kept_and_not_written_again(drawn: Profile) -> None:
    before = (drawn.path / "narrative" / "narrative.json").read_bytes()
    again = profile(
        drawn.path.parent.parent / "drawn.tif", drawn.path.parent, stages=["narrative"], workers=1
    )
    assert (again.path / "narrative" / "narrative.json").read_bytes() == before


def test_it_reads_as_meant() -> None:
    text = plain(text_of())
    for part in (
        "Of 2.50 mm² of measured tissue, 60.0 % is stroma and 40.0 % carcinoma.",
        "It holds 12 000 cells: 50.0 % carcinoma cells, 37.5 % lymphocytes and 12.5 % macrophages.",
        "The tumor reads as immune-excluded: 25.0 % of the tiles with tumor are inflamed, ",
        "62.5 % excluded and 12.5 % desert (n = 24).",
        "Lymphocytes are sparser in carcinoma (400 per mm²) than in stroma (2 700 per mm²).",
        "No lymphoid aggregate was found.",
        "Carcinoma has 0.667 times the area of stroma: stroma-rich tissue.",
        "Lymphocytes are clustered",
        "Only 61.2 % of the tissue passed quality control.",
        "The model abstained on 900 cells (7.50 %)",
        "Plasma cells were learned without labels of their own: that the model named none is no sign of",
        "Macrophages were learned from few labels: their numbers are tentative.",
        "No blood was segmented, which the model hardly learned",
        "The nuclei model never saw brain, skin: of such tissue nothing here holds.",
    ):
        assert part in text
    assert "3 other organs" not in text  # no number that is not a metric


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (
            {"organ": "liver", "site": "metastasis", "specimen": "biopsy"},
            "Stated by the user: biopsy of a metastasis in the liver.",
        ),
        ({"organ": "skin"}, "Stated by the user: specimen of the skin."),
        ({"site": "primary"}, "Stated by the user: specimen of a primary tumor."),
    ],
)
def test_what_was_stated_is_said_first(stated: dict[str, str], sentence: str) -> None:
    facts = replace(made(metrics()), stated=stated)
    first = describe_slide(facts)[0]
    assert first.text == sentence
    assert [source.value for source in first.sources] == list(stated.values())
    assert verify(first.text, facts).unsupported == []
    assert "Stated" not in text_of()


def test_a_metastasis_that_nobody_stated_is_a_claim_without_support() -> None:
    facts = replace(made(metrics()), stated={"site": "metastasis"})
    for told, facts_told in (("This is a metastasis.", made(metrics())), ("This is no metastasis.", facts)):
        assert [claim.text for claim in verify(told, facts_told).unsupported] == ["metastasis"]


def test_an_organ_that_a_model_never_saw_is_told_of_that_model_only() -> None:
    cards = {
        "nuclei": ModelNotes({}, (), ("lung",)),
        "tissue": ModelNotes({}, (), ("skin",)),
        "own": ModelNotes({}, ()),
    }
    facts = replace(made(metrics()), models=cards, stated={"organ": "skin"})
    text = " ".join(sentence.text for sentence in describe_slide(facts))
    assert "The nuclei model never saw skin, the organ that was stated: no number here holds." in text
    assert verify(text, facts).unsupported == []


def test_one_is_one() -> None:
    text = plain(text_of(CELL_N_TOTAL=1.0, ABSTAINED_COUNT_ALL=1.0))
    assert "It holds 1 cell:" in text
    assert "abstained on 1 cell (" in text


def test_the_verifier_finds_nothing_false_in_it() -> None:
    facts = made(metrics())
    for sentence in describe_slide(facts):
        assert verify(sentence.text, facts).unsupported == []


def test_every_sentence_rests_on_something() -> None:
    for sentence in describe_slide(made(metrics())):
        assert sentence.sources
        assert sentence.topic


def test_without_carcinoma_nothing_is_said_of_a_tumor() -> None:
    nothing = dict.fromkeys(
        ("IMMUNE_INFLAMED_SHARE", "IMMUNE_EXCLUDED_SHARE", "IMMUNE_DESERT_SHARE", "INTRATUMORAL_TIL"), None
    )
    changes = nothing | {
        "REGION_COUNT_CARCINOMA": 0.0,
        "ABSOLUTE_AREA_CARCINOMA": 0.0,
        "RELATIVE_AREA_CARCINOMA": 0.0,
        "LARGEST_FILLED_AREA_CARCINOMA": None,
        "CELL_DENSITY_LYMPHOCYTE_CARCINOMA": None,
        "TUMOR_STROMA_RATIO": 0.0,
    }
    text = text_of(**changes)
    assert "No carcinoma was segmented" in text
    assert "No immune phenotype is given" in text
    for word in ("purity", "immune-", "stroma-rich", "times the area", "Stromal TILs"):
        assert word not in text


def test_few_tiles_are_said_to_be_few() -> None:
    rows = metrics()
    rows["IMMUNE_INFLAMED_SHARE"] = rows["IMMUNE_INFLAMED_SHARE"]._replace(n=2)
    text = " ".join(sentence.text for sentence in describe_slide(made(rows)))
    assert "In the few tiles there are, the tumor reads as immune-excluded" in text


def test_two_models_that_disagree_are_told() -> None:
    assert "models disagree" not in text_of()
    assert (
        "Only 1\N{NARROW NO-BREAK SPACE}000 of the 6\N{NARROW NO-BREAK SPACE}000 cells classed as carcinoma"
        in text_of(CELL_COUNT_CARCINOMA_CELL_CARCINOMA=1000.0)
    )


def test_nothing_measured_gives_nothing_said() -> None:
    assert describe_slide(Facts.of_slide({}, {})) == []


def test_no_clinical_word_and_no_advice() -> None:
    assert not re.search(r"prognos|surviv|therap|treat|recommend|diagnos|patient", text_of(), re.I)


def test_labels_come_from_their_metrics() -> None:
    labels = Facts.of_slide(metrics(), {}).labels
    assert labels == {
        "composition": "Intermediate",
        "immune": "Immune Excluded",
        "stroma": "Stroma-rich",
        "architecture": "Clustered lymphocytes",
    }
    null = Facts.of_slide(metrics(TUMOR_STROMA_RATIO=None, CLARK_EVANS_LYMPHOCYTE=None), {}).labels
    assert null["stroma"] is None
    assert null["architecture"] is None
