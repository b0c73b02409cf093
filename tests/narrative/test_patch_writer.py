"""The patch's paragraph: the worked example, nulls with their reasons, nothing that is not in the JSON."""

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.given_facts import example
from helpers.paraphrases import make_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from histome.errors import UsageError
from histome.narrative.facts import Facts
from histome.narrative.sentences import listed
from histome.narrative.verifier import verify
from histome.narrative.writers.patch import describe_patch
from histome.narrative.writers.verified import write
from histome.phenotype.axes import phenotypes_of
from histome.phenotype.patch import describe


def test_the_worked_example_in_words() -> None:
    text = " ".join(sentence.text for sentence in describe_patch(Facts.of_patch(example())))
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    for part in (
        "The patch holds 4 501 nuclei: 3 133 inflammatory (69.6 %), 1 290 neoplastic (28.7 %), 71 connective",
        "no epithelial cell was found",
        "Tumor purity is low (immune-dominant and lymphocyte-rich).",
        "It is immune hot (heavy infiltrate)",
        "lies 136 px from the nearest neoplastic cell; the closest lies 30.9 px away.",
        "257 of the 3 133 inflammatory cells are engaged.",
        "The infiltrate is excluded (immune exclusion, restricted to stroma and bystander immune cells).",
        "stroma-free (non-desmoplastic and lack of fibrosis)",
        "segregated (homogeneous and compartmentalized), with a mean spatial entropy of 0.268 bits",
        "large/pleomorphic (nuclear enlargement and anisocytosis)",
        "in pixels",
    ):
        assert part in text


def test_every_token_of_the_example_is_told() -> None:
    facts = Facts.of_patch(example())
    told = {str(source.value) for s in describe_patch(facts) for source in s.sources}
    assert set(facts.tokens) <= told


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_verifier_finds_nothing_false_in_it(seed: int) -> None:
    facts = Facts.from_json(make_texts(2, seed)[1].facts)
    sentences = describe_patch(facts)
    verdict = verify("\n".join(s.text for s in sentences), facts)
    assert len(verdict.sentences) == len(sentences)
    assert verdict.unsupported == []
    assert verdict.claims >= 2 * len(sentences)


def test_a_null_is_told_with_its_reason() -> None:
    raw = {
        **{f"count_{name}": 0 for name in ("Neoplastic", "Connective", "Dead", "Epithelial")},
        "total_cell_count": 300,
        "count_Inflammatory": 300,
        "ratio_Inflammatory": 1.0,
        "mean_dist_Inflammatory_to_Neoplastic": None,
        "undefined": {"mean_dist_Inflammatory_to_Neoplastic": "there are no neoplastic cells"},
    }
    facts = Facts.of_patch(describe(raw, unit="um"))
    text = " ".join(sentence.text for sentence in describe_patch(facts))
    assert "is undefined: there are no neoplastic cells." in text
    assert "None" not in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize(
    ("inflammatory", "engaged", "sentence"),
    [
        (1, 0, "No inflammatory cell is engaged."),
        (7, 0, "No inflammatory cell is engaged."),
        (1, 1, "The inflammatory cell is engaged."),
        (7, 1, "1 of the 7 inflammatory cells is engaged."),
        (7, 7, "7 of the 7 inflammatory cells are engaged."),
    ],
)
def test_how_many_are_engaged_in_words(inflammatory: int, engaged: int, sentence: str) -> None:
    raw = {
        **{f"count_{name}": 0 for name in ("Connective", "Dead", "Epithelial")},
        **{f"ratio_{name}": 0.0 for name in ("Connective", "Dead", "Epithelial")},
        **{"total_cell_count": 300, "count_Neoplastic": 300 - inflammatory},
        **{"ratio_Neoplastic": 1 - inflammatory / 300, "ratio_Inflammatory": inflammatory / 300},
        **{"count_Inflammatory": inflammatory, "count_engaged_immune": engaged},
        **{f"{least}_dist_Inflammatory_to_Neoplastic": 9.0 for least in ("mean", "min")},
    }
    facts = Facts.of_patch(describe(raw, unit="px", compatible=True))
    sentences = [one.text for one in describe_patch(facts)]
    assert sentence in sentences
    assert verify("\n".join(sentences), facts).unsupported == []
    others = {"No inflammatory cell is engaged.", "The inflammatory cells are engaged."} - {sentence}
    true = {0: "No inflammatory cell is engaged.", inflammatory: "The inflammatory cells are engaged."}
    for other in others:
        assert verify(other, facts).tally.supported == (true.get(engaged) == other)


def mixed(neoplastic: int, inflammatory: int, connective: int) -> dict[str, Any]:
    """The raw data of so many cells."""
    counts = {"Neoplastic": neoplastic, "Inflammatory": inflammatory, "Connective": connective}
    counts |= {"Dead": 0, "Epithelial": 0}
    total, both = sum(counts.values()), bool(neoplastic and inflammatory)
    return {
        "total_cell_count": total,
        **{f"count_{name}": n for name, n in counts.items()},
        **{f"ratio_{name}": n / total for name, n in counts.items()},
        **{f"mean_area_{name}": 50.0 if n else None for name, n in counts.items()},
        "tumor_stroma_fraction": neoplastic / (neoplastic + connective),
        "immune_infiltration_fraction": inflammatory / (neoplastic + inflammatory),
        **{f"{least}_dist_Inflammatory_to_Neoplastic": 80.0 if both else None for least in ("mean", "min")},
        "count_engaged_immune": 0,
        "mean_spatial_entropy": 0.5,
    }


_OF_A_TUMOR = ("purity", "desmoplastic", "Of the neoplastic", "nuclei measure", "Neoplastic nuclei are")
_OF_BOTH = ("nearest neoplastic", "engaged", "infiltrate is excluded")


@pytest.mark.parametrize(
    ("neoplastic", "inflammatory", "told"),
    [
        (20, 20, (*_OF_A_TUMOR, *_OF_BOTH, "inflammatory nuclei 50")),
        (20, 19, _OF_A_TUMOR),
        (19, 20, ()),
        (1, 60, ()),
        (0, 60, ()),
    ],
)
def test_of_few_cells_of_a_class_only_their_count_is_told(
    neoplastic: int, inflammatory: int, told: tuple[str, ...]
) -> None:
    raw = mixed(neoplastic, inflammatory, 130)
    facts = Facts.of_patch(describe(raw, unit="um"))
    text = " ".join(one.text for one in describe_patch(facts)).replace("\N{NO-BREAK SPACE}", " ")
    words = (*_OF_A_TUMOR, *_OF_BOTH, "inflammatory nuclei 50")
    assert {word for word in words if word in text} == set(told)
    assert ("The patch is moderately infiltrated" in text) is (inflammatory == 20)
    assert verify(text, facts).unsupported == []
    assert Facts.from_json(facts.to_json()) == facts


@pytest.mark.parametrize("neoplastic", [0, 1])
def test_as_published_every_label_is_told_however_few_the_cells(neoplastic: int) -> None:
    facts = Facts.of_patch(describe(mixed(neoplastic, 60, 130), unit="px", compatible=True))
    text = " ".join(one.text for one in describe_patch(facts))
    of_both = _OF_BOTH if neoplastic else ()
    for word in ("purity is low", "desmoplastic (fibrotic", "infiltration fraction", "It is", *of_both):
        assert word in text
    assert Facts.from_json(facts.to_json()) == facts


def told(facts: Facts) -> list[str]:
    """The sentences of a patch with usual spaces; the verifier supports each."""
    sentences = [sentence.text for sentence in describe_patch(facts)]
    assert verify("\n".join(sentences), facts).tally.supported == len(sentences)
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in sentences]


def test_what_was_measured_and_what_is_doubtful_come_before_any_claim() -> None:
    """8 inflammatory nuclei of 26, and 24 left out: not immune hot; as published the doubts stay last."""
    given = {"cells_left_out": 24, "cells_abstained": 6, "h_and_e": False}
    facts = Facts.of_patch(describe(mixed(0, 8, 18), unit="um") | given)
    sentences = told(facts)
    assert sentences == [
        "The patch holds 26 nuclei: 18 connective (69.2 %) and 8 inflammatory (30.8 %); no neoplastic, dead "
        "or epithelial cell was found.",
        "Quality control finds no tissue of H&E in this patch: if it is right, no number here holds.",
        "Left out of all numbers are 24 nuclei (48.0 % of all) of none of the five classes.",
        "The model was unsure of the type of 23.1 % of the cells.",
        "With 26 nuclei in all, a difference of a few percent means nothing.",
        "The cell classes are neither highly mixed nor segregated, with a mean spatial entropy of "
        "0.500 bits.",
    ]
    assert Facts.from_json(facts.to_json()) == facts
    for text, number, other in ((sentences[2], "48.0", "41.0"), (sentences[3], "23.1", "32.1")):
        assert verify(text.replace(number, other), facts).tally.supported == 0
    paper = Facts.of_patch(describe(mixed(0, 8, 18), unit="px", compatible=True) | given)
    assert told(paper)[-2:] == [
        "Left out of all numbers are 24 nuclei of none of the five classes.",
        "With 26 nuclei in all, a difference of a few percent means nothing.",
    ]
    assert told(paper)[1] == "Tumor purity is low (stroma-dominant)."


def test_doubts_of_few_cells_are_not_told() -> None:
    given = {"cells_left_out": 49, "cells_abstained": 39, "h_and_e": True}
    sentences = told(Facts.of_patch(describe(mixed(100, 50, 50), unit="um") | given))
    assert sentences[1] == "Left out of all numbers are 49 nuclei of none of the five classes."
    assert sentences[2] == "Tumor purity is intermediate."


def test_tokens_are_told_as_published_alone() -> None:
    """A solid nest, fibrosis and exclusion do not follow from shares and distances."""
    raw = mixed(150, 20, 20)
    document = describe(raw, unit="um")
    text = " ".join(told(Facts.of_patch(document))).lower()
    tokens = [token.lower().replace("tumour", "tumor") for token in document["generated_tokens"]]
    assert {"solid tumor nest", "hypercellular", "restricted to stroma"} <= set(tokens)
    assert [token for token in tokens if token in text] == []
    assert "Of the neoplastic and connective cells, 88.2 % are neoplastic." in told(Facts.of_patch(document))
    paper = Facts.of_patch(describe(raw, unit="px", compatible=True))
    assert all(
        token.lower().replace("tumour", "tumor") in " ".join(told(paper)).lower() for token in paper.tokens
    )
    assert "the tumor-stroma fraction is 88.2 %" in " ".join(told(paper))


def test_what_is_not_there_is_told_once() -> None:
    sentences = told(Facts.of_patch(describe(mixed(200, 0, 0) | {"mean_spatial_entropy": 0.0}, unit="um")))
    assert sentences[:4] == [
        "The patch holds 200 nuclei: 200 neoplastic (100 %); no inflammatory, connective, dead or epithelial "
        "cell was found.",
        "Tumor purity is high.",
        "The patch is immune cold.",
        "The patch is stroma-free.",
    ]
    assert not any("mixed" in text or "segregated" in text or " 0 %" in text for text in sentences)


def test_no_cells() -> None:
    facts = Facts.of_patch(describe({"total_cell_count": 0}, unit="um"))
    assert [s.text for s in describe_patch(facts)] == ["No nuclei were found in this patch."]
    assert verify("No nuclei were found in this patch.", facts).tally.supported == 1
    assert verify("No nuclei were found.", Facts.of_patch(example())).tally.contradicted == 1


@pytest.mark.parametrize(
    ("n", "sentence"),
    [
        (15, "Left out of all numbers are 15 nuclei of none of the five classes."),
        (1, "Left out of all numbers is 1 nucleus of none of the five classes."),
    ],
)
@pytest.mark.parametrize("compatible", [False, True])
def test_nuclei_that_are_left_out_are_in_the_text(n: int, sentence: str, compatible: bool) -> None:
    document = describe(mixed(30, 30, 30), unit="px", compatible=compatible)
    assert "Left out" not in write(Facts.of_patch(document | {"cells_left_out": 0})).text
    facts = Facts.of_patch(document | {"cells_left_out": n})
    text = write(facts).text
    assert sentence in text
    assert verify(text, facts).unsupported == []
    assert verify(sentence.replace(str(n), str(n + 1)), facts).tally.supported == 0
    assert Facts.from_json(facts.to_json()) == facts


def test_limits_of_the_users_own_are_in_the_text(tmp_path: Path) -> None:
    """Of the axes that have a label."""
    own = "[morphology]\nbelow = 30.0\nabove = 45.0\n"
    (tmp_path / "cuts.toml").write_text(own)
    raw = mixed(30, 30, 30)
    document = describe(raw, unit="um", known=phenotypes_of(tmp_path / "cuts.toml"))
    sentence = (
        "The user's own limits decide the label of morphology (low under 30.0 µm², high over 45.0 µm²)."
    )
    assert sentence in plain(document)
    (tmp_path / "cuts.toml").write_text(f"{own}[composition]\nbelow = 0.2\nabove = 0.25\n")
    both = describe(raw, unit="um", known=phenotypes_of(tmp_path / "cuts.toml"))
    text = plain(both)
    assert "decide the labels of composition (low under 20.0 %, high over 25.0 %) and morphology (low" in text
    assert "limits" not in plain(describe(raw, unit="um"))
    assert "limits" not in plain(
        describe(mixed(5, 5, 5), unit="um", known=phenotypes_of(tmp_path / "cuts.toml"))
    )
    assert verify(sentence, Facts.of_patch(both)).tally.supported == 0
    assert verify(sentence.replace("30", "31"), Facts.of_patch(document)).tally.supported == 0


def plain(document: dict[str, Any]) -> str:
    """The text of a patch, of which the verifier supports every sentence, with plain spaces."""
    facts = Facts.of_patch(document)
    assert Facts.from_json(facts.to_json()) == facts
    text = write(facts).text
    assert verify(text, facts).unsupported == []
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(("n", "nuclei"), [(12, "are 12 nuclei"), (1, "is 1 nucleus")])
def test_a_patch_of_left_out_nuclei_alone_is_not_called_empty(n: int, nuclei: str) -> None:
    document = describe({"total_cell_count": 0}, unit="um") | {"cells_left_out": n}
    text = write(Facts.of_patch(document)).text
    assert text == f"Left out of all numbers {nuclei} of none of the five classes; no others were found."
    assert verify(text, Facts.of_patch(document)).tally.supported == 1


@pytest.mark.parametrize("facts", [{}, {"raw_data": {}}, {"raw_data": 1, "interpretation": {}}, []])
def test_other_json_is_refused(facts: object) -> None:
    with pytest.raises(UsageError, match="histome tme patch"):
        Facts.of_patch(facts)  # type: ignore[arg-type]


def test_a_list_in_words() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], "or")] == [
        "",
        "a",
        "a and b",
        "a, b or c",
    ]
