"""The patch's paragraph: the worked example, nulls with their reasons, nothing that is not in the JSON."""

import re

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
    assert verdict.claims > 15


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
    facts = Facts.of_patch(describe(raw, unit="um"))
    sentences = [one.text for one in describe_patch(facts)]
    assert sentence in sentences
    assert verify("\n".join(sentences), facts).unsupported == []
    others = {"No inflammatory cell is engaged.", "The inflammatory cells are engaged."} - {sentence}
    true = {0: "No inflammatory cell is engaged.", inflammatory: "The inflammatory cells are engaged."}
    for other in others:
        assert verify(other, facts).tally.supported == (true.get(engaged) == other)


def test_no_cells() -> None:
    facts = Facts.of_patch(describe({"total_cell_count": 0}, unit="um"))
    assert [s.text for s in describe_patch(facts)] == ["No nuclei were found in this patch."]
    assert verify("No nuclei were found in this patch.", facts).tally.supported == 1
    assert verify("No nuclei were found.", Facts.of_patch(example())).tally.contradicted == 1


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
