"""The slide's paragraphs: every number is a metric, what is not there is not said, doubts are."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.drawn_profiles import SLIDES, facts_of
from helpers.given_facts import CARDS
from helpers.phantoms import small_phantom

from histome.classes import CELL_CLASSES
from histome.metrics.format import MetricTable
from histome.narrative.facts import Facts, ModelNotes
from histome.narrative.sentences import Narrative
from histome.narrative.verifier import verify
from histome.narrative.writers.slide import describe_slide
from histome.pipeline import profile
from histome.store.profile import Profile

NUMBER = re.compile(r"\d+(?:\N{NARROW NO-BREAK SPACE}\d{3})*(?:\.\d+)?")


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


@pytest.mark.slow
def test_every_number_of_a_drawn_slide_is_in_its_metrics(drawn: Profile) -> None:
    narrative = Narrative.from_json(drawn.narrative)
    assert assert_every_number_is_a_metric(narrative, MetricTable(drawn.metrics)) > 5
    assert narrative.claims > 5
    assert narrative.hallucination_rate == 0.0


@pytest.mark.slow
def test_every_number_of_a_real_slide_is_in_its_metrics(
    data_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    slide = data_dir("slides") / "CMU-1-Small-Region.svs"
    found = profile(slide, tmp_path, stages=["narrative"], workers=1)
    narrative = Narrative.from_json(found.narrative)
    assert assert_every_number_is_a_metric(narrative, MetricTable(found.metrics)) > 10
    assert narrative.unsupported == 0


@pytest.mark.slow
def test_the_narrative_is_kept_and_not_written_again(drawn: Profile) -> None:
    before = (drawn.path / "narrative" / "narrative.json").read_bytes()
    again = profile(
        drawn.path.parent.parent / "drawn.tif", drawn.path.parent, stages=["narrative"], workers=1
    )
    assert (again.path / "narrative" / "narrative.json").read_bytes() == before


def told(profile: str) -> str:
    return plain(" ".join(sentence.text for sentence in describe_slide(facts_of(profile))))


def test_it_reads_as_meant() -> None:
    text = told("A")
    for part in (
        "The section holds 12 000 cells on 7.00 mm² of tissue.",
        "Stroma covers 57.1 %, carcinoma 28.6 %, normal epithelium 7.14 %,",
        "The carcinoma forms 5 regions; the largest region measures 1.20 mm².",
        "Of the cells, 50.0 % are carcinoma cells, 25.0 % lymphocytes,",
        "60.0 % of the 40 tiles with tumor are inflamed, 30.0 % excluded and 10.0 % desert.",
        "Lymphocytes are sparser in carcinoma (300 per mm²) than in stroma (525 per mm²).",
        "Carcinoma has 0.500 times the area of stroma: stroma-rich tissue.",
        "Lymphocytes are clustered, with a Clark-Evans index of 0.720.",
        "Carcinoma nuclei measure 62.4 µm² on average and lymphocyte nuclei 27.8 µm².",
    ):
        assert part in text


@pytest.mark.parametrize("profile", list(SLIDES))
def test_it_is_a_paragraph_in_order(profile: str) -> None:
    sentences = describe_slide(facts_of(profile))
    assert 8 <= len(sentences) <= 12
    topics = list(dict.fromkeys(sentence.topic for sentence in sentences))
    order = ["measured", "uncertain", "composition", "immune", "stroma", "architecture", "morphology"]
    assert topics == [topic for topic in order if topic in topics]
    assert all(sentence.sources for sentence in sentences)


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        (
            {"organ": "liver", "site": "metastasis", "specimen": "biopsy"},
            "Stated by the user: biopsy of a metastasis in the liver.",
        ),
        ({"organ": "colorectum"}, "Stated by the user: organ colorectum."),
        ({"organ": "colorectum", "specimen": "biopsy"}, "Stated by the user: biopsy of the colorectum."),
        ({"organ": "skin", "site": "metastasis"}, "Stated by the user: metastasis in the skin."),
        ({"site": "primary"}, "Stated by the user: primary tumor."),
        ({"site": "primary", "specimen": "biopsy"}, "Stated by the user: biopsy of a primary tumor."),
        ({"specimen": "resection"}, "Stated by the user: resection."),
    ],
)
def test_what_was_stated_is_said_and_known(stated: dict[str, str], sentence: str) -> None:
    facts = replace(facts_of("A"), stated=stated)
    (found,) = (one for one in describe_slide(facts) if "Stated" in one.text)
    assert found.text == sentence
    assert [source.value for source in found.sources] == list(stated.values())
    assert verify(sentence, facts).tally.supported == 1
    assert verify(sentence, facts_of("A")).tally.not_checkable == 1


def test_an_organ_that_a_model_never_saw_is_told_of_that_model_only() -> None:
    cards = {
        "nuclei": ModelNotes({}, (), ("lung",)),
        "tissue": ModelNotes({}, (), ("skin",)),
        "own": ModelNotes({}, ()),
    }
    facts = replace(facts_of("A"), models=cards, stated={"organ": "skin"})
    text = "\n".join(sentence.text for sentence in describe_slide(facts))
    assert "The nuclei model never saw skin, the organ that was stated: no number here holds." in text
    assert verify(text, facts).unsupported == []


def test_what_holds_for_every_slide_is_left_to_the_cards() -> None:
    facts = replace(facts_of("A"), models=CARDS)
    assert describe_slide(facts) == describe_slide(facts_of("A"))


def test_one_is_one() -> None:
    text = plain(
        " ".join(s.text for s in describe_slide(changed("A", CELL_N_TOTAL=1.0, REGION_COUNT_CARCINOMA=1.0)))
    )
    assert "holds 1 cell on" in text
    assert "forms 1 region." in text


def changed(profile: str, **values: float | None) -> Facts:
    rows = SLIDES[profile].metrics()
    rows |= {name: rows[name]._replace(value=value) for name, value in values.items()}
    return Facts.of_slide(rows, {})


def test_without_carcinoma_nothing_is_said_of_it() -> None:
    sentences = [sentence.text for sentence in describe_slide(facts_of("C"))]
    (only,) = (text for text in sentences if "carcinoma" in text.lower())
    assert only == "No carcinoma was segmented."
    assert not [text for text in sentences if "tumor" in text.lower()]


def test_nothing_is_said_of_few_tiles_or_few_cells() -> None:
    rows = SLIDES["A"].metrics()
    rows["IMMUNE_INFLAMED_SHARE"] = rows["IMMUNE_INFLAMED_SHARE"]._replace(n=9)
    assert "inflamed" not in " ".join(s.text for s in describe_slide(Facts.of_slide(rows, {})))
    assert "lymphocyte" not in told_of(changed("A", CELL_COUNT_LYMPHOCYTE=19.0)).lower()
    assert "Lymphocytes are" in told_of(changed("A", CELL_COUNT_LYMPHOCYTE=20.0))


@pytest.mark.parametrize(
    ("n", "area_um2", "is_told"), [(7.0, 13_000.0, False), (20.0, 13_000.0, True), (7.0, 5e5, True)]
)
def test_a_density_of_few_cells_in_little_tissue_is_not_told(
    n: float, area_um2: float, is_told: bool
) -> None:
    """As the report shows none: needs 20 cells, or 0.5 mm2."""
    for tissue in ("CARCINOMA", "STROMA"):
        few = {f"CELL_COUNT_LYMPHOCYTE_{tissue}": n, f"ABSOLUTE_AREA_{tissue}": area_um2}
        assert ("in carcinoma (" in told_of(changed("A", **few))) is is_told


def test_why_little_is_said_is_told_and_the_verifier_knows_it() -> None:
    rows = SLIDES["A"].metrics()
    rows["IMMUNE_INFLAMED_SHARE"] = rows["IMMUNE_INFLAMED_SHARE"]._replace(n=9)
    few, whole = Facts.of_slide(rows, {}), facts_of("A")
    left_out = {"CELL_N_NOT_COUNTED": 3000.0, "CELL_FRACTION_NOT_COUNTED": 0.21}
    not_counted = replace(
        whole, values={**whole.values, **left_out}, units={**whole.units, "CELL_N_NOT_COUNTED": "cells"}
    )
    for facts, sentence in (
        (few, "Only 9 tiles hold tumor, too few for an immune phenotype."),
        (
            not_counted,
            "Not counted are 3 000 cells in tissue called necrosis or blood: look at the overlay.",
        ),
        (
            changed("A", CELL_N_TOTAL=199.0),
            "With 199 cells in all, a difference of a few percent means nothing.",
        ),
    ):
        (found,) = (one.text for one in describe_slide(facts) if plain(one.text) == sentence)
        assert sentence not in told("A")
        assert verify(found, facts).tally.supported == 1
    disagreeing = rows | {
        name: rows[name]._replace(value=1000.0) for name in ["CELL_COUNT_CARCINOMA_CELL_CARCINOMA"]
    }
    assert "hold tumor" not in told_of(Facts.of_slide(disagreeing, {}))


def test_confidence_is_told_where_there_is_room_for_it() -> None:
    facts = changed("C", CONFIDENCE_MEAN_ALL=0.71)
    assert "The mean confidence of the cell types is 0.710." in told_of(facts)
    assert verify("The mean confidence of the cell types is 0.710.", facts).tally.supported == 1


def test_all_that_was_measured_comes_before_the_doubts() -> None:
    facts = changed("C", CONFIDENCE_MEAN_ALL=0.71, ABSTAINED_FRACTION_ALL=0.3)
    sentences = describe_slide(replace(facts, stated={"organ": "skin"}))
    first = ("The section", "Stated by", "The mean confidence", "The model was unsure")
    assert [one.text.startswith(words) for one, words in zip(sentences, first, strict=False)] == [True] * 4
    assert [one.topic for one in sentences].count("measured") == 3


def told_of(facts: Facts) -> str:
    return plain(" ".join(sentence.text for sentence in describe_slide(facts)))


@pytest.mark.parametrize(
    "values",
    [
        {"CELL_COUNT_CARCINOMA_CELL_CARCINOMA": 1000.0},  # most of them lie elsewhere
        {"CELL_COUNT_LYMPHOCYTE_CARCINOMA": 30_000.0},  # carcinoma holds hardly any of them
        {
            "CELL_COUNT_EPITHELIAL_CELL_CARCINOMA": 90_000.0
        },  # what was segmented as carcinoma is benign glands
    ],
)
def test_where_the_models_disagree_nothing_is_said_of_infiltration(values: dict[str, float]) -> None:
    text = told_of(changed("A", **values))
    assert "The models of cells and of tissue disagree here" in text
    for word in ("immune-inflamed", "denser", "sparser", "purity", "median lymphocyte"):
        assert word not in text
    assert "disagree" not in told("A")


def test_none_in_both_is_not_about_as_dense() -> None:
    facts = changed("A", CELL_DENSITY_LYMPHOCYTE_CARCINOMA=0.0, CELL_DENSITY_LYMPHOCYTE_STROMA=0.0)
    assert "as dense" not in told_of(facts)


def test_nothing_measured_gives_nothing_said() -> None:
    assert describe_slide(Facts.of_slide({}, {})) == []


def test_no_clinical_word_and_no_advice() -> None:
    assert not re.search(r"prognos|surviv|therap|treat|recommend|diagnos|patient", told("A"), re.I)


def test_labels_come_from_their_metrics() -> None:
    assert facts_of("A").labels == {
        "composition": "Intermediate",
        "immune": "Immune Inflamed",
        "stroma": "Stroma-rich",
        "architecture": "Clustered lymphocytes",
    }
    null = changed("A", TUMOR_STROMA_RATIO=None, CLARK_EVANS_LYMPHOCYTE=None).labels
    assert null["stroma"] is None
    assert null["architecture"] is None
    few = {"CELL_N_TOTAL": 99.0, "CELL_COUNT_LYMPHOCYTE": 19.0, "REGION_COUNT_CARCINOMA": 0.0}
    gone = {
        name: [axis for axis, label in changed("A", **{name: n}).labels.items() if label is None]
        for name, n in few.items()
    }
    assert gone == {
        "CELL_N_TOTAL": ["composition"],
        "CELL_COUNT_LYMPHOCYTE": ["architecture"],
        "REGION_COUNT_CARCINOMA": ["composition", "immune", "stroma"],
    }


def test_cells_unlike_those_learned_from_are_told_and_the_verifier_knows_the_sentence() -> None:
    def of_share(share: float) -> Facts:
        rows = SLIDES["A"].metrics()
        rows["UNFAMILIAR_FRACTION_ALL"] = rows["ABSTAINED_FRACTION_ALL"]._replace(value=share)
        rows["ABSTAINED_FRACTION_ALL"] = rows["UNFAMILIAR_FRACTION_ALL"]
        rows["CONFIDENCE_MEAN_ALL"] = rows["UNFAMILIAR_FRACTION_ALL"]._replace(value=0.73)
        return Facts.of_slide(rows, {})

    facts = of_share(0.83)
    (sentence,) = [each for each in describe_slide(facts) if "unlike those" in each.text]
    assert "83" in sentence.text
    assert [checked.state for checked in verify(sentence.text, facts).sentences] == ["supported"]
    assert "unlike those" not in told_of(of_share(0.2))
    assert "The model was unsure of the type of 20.0 %" in told_of(of_share(0.2))
    for word in ("purity", "denser", "sparser", "immune-inflamed", "unsure", "confidence"):
        assert word not in told_of(facts)  # it was just said that types are not to be trusted


def test_the_share_of_a_carcinoma_that_is_spoken_of_is_said_however_small() -> None:
    facts = changed("A", RELATIVE_AREA_CARCINOMA=0.42)
    text = " ".join(sentence.text for sentence in describe_slide(facts))
    assert "carcinoma 0.420 % of the tissue" in plain(text)
    assert "The carcinoma forms" in text
    assert verify(text, facts).unsupported == []


def test_lymphoid_aggregates_are_told_and_their_even_inside_is_no_pattern_of_the_slide() -> None:
    even = changed("B", LYMPHOID_AGGREGATE_COUNT=2.0, LYMPHOID_AGGREGATE_AREA=0.2)
    assert "Lymphocytes are randomly distributed" in told_of(changed("B"))
    assert "Lymphocytes are" not in told_of(even).split("Clark-Evans")[0].rsplit(".", 1)[-1]
    assert "In all, 2 lymphoid aggregates cover" in told_of(even)
    one = changed("B", LYMPHOID_AGGREGATE_COUNT=1.0, LYMPHOID_AGGREGATE_AREA=0.2)
    assert "One lymphoid aggregate covers 0.200 mm²." in told_of(one)


def test_an_aggregate_drawn_larger_than_the_tissue_has_no_area() -> None:
    facts = changed("B", LYMPHOID_AGGREGATE_COUNT=1.0, LYMPHOID_AGGREGATE_AREA=0.06, ABSOLUTE_AREA=5e4)
    assert "One lymphoid aggregate was found." in told_of(facts)
    assert "The field holds" in told_of(facts)  # of 0.05 mm2


def test_a_trace_of_stroma_is_not_compared_with_the_carcinoma() -> None:
    assert "times the area of stroma" in told_of(changed("B"))
    assert "times the area of stroma" not in told_of(changed("B", RELATIVE_AREA_STROMA=0.4))
    assert "times the area of stroma" not in told_of(changed("B", RELATIVE_AREA_CARCINOMA=0.4))
    for ratio in (0.049, 20.1):
        assert "times the area of stroma" not in told_of(changed("B", TUMOR_STROMA_RATIO=ratio))


def test_areas_within_a_quarter_are_no_stroma_rich_tissue() -> None:
    assert "times the area of stroma: stroma-poor" in told_of(changed("B", TUMOR_STROMA_RATIO=1.26))
    assert "1.24 times the area of stroma." in told_of(changed("B", TUMOR_STROMA_RATIO=1.24))


def test_fewer_than_twenty_carcinoma_cells_are_no_tumor_to_speak_of() -> None:
    """Of its purity and its stroma; the carcinoma of the tissue map is told."""
    counts = {"CELL_COUNT_CARCINOMA_CELL": 19.0, "CELL_COUNT_CARCINOMA_CELL_CARCINOMA": 10.0}
    others = [name for name in CELL_CLASSES if name != "carcinoma_cell"]
    none = dict.fromkeys((f"CELL_COUNT_{name.upper()}_CARCINOMA" for name in others), 0.0)
    text = told_of(changed("B", **counts, **none))
    assert "The carcinoma forms" in text
    for words in ("disagree", "purity", "times the area of stroma"):
        assert words not in text


def test_where_there_is_no_immune_cell_no_share_of_them_is_told() -> None:
    assert "No immune cells were found." in told_of(changed("B", IMMUNE_CELL_FRACTION=0.0))
    assert "Immune cells make up" in told_of(changed("B"))
