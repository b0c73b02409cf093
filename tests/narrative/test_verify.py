"""The verifier catches each kind of falsehood, and how often it errs on texts that it was not made for."""

from collections import Counter
from dataclasses import replace

import pytest
from helpers.given_facts import CARDS, example, metrics
from helpers.paraphrases import Made, make_texts

from histome.narrative.facts import Facts
from histome.narrative.verifier import Verdict, verify

SLIDE = replace(Facts.of_slide(metrics(), {}), models=CARDS)
EXAMPLE = Facts.of_patch(example())


def kinds(text: str, *, slide: bool = False) -> list[str]:
    return [claim.kind for claim in verify(text, SLIDE if slide else EXAMPLE).unsupported]


@pytest.mark.parametrize(
    "text",
    [
        "Of the 4,501 nuclei, 3,133 (69.61 %) are inflammatory and 1,290 (28.66 %) neoplastic.",
        "Neoplastic cells make up 28.7 % and inflammatory cells 69.6 %.",
        "About 70 % of the cells are inflammatory, more than 60 %.",
        "With a mean area of 3216 px², neoplastic nuclei are larger than inflammatory ones (1971 px²).",
        "The patch is immune hot, not desmoplastic, and shows no fibrosis.",
        "Inflammatory cells predominate; no epithelial cells are seen.",
        "The mean distance from immune to tumor cells is 136 px, the minimum 30.9 px.",
        "Neoplastic and inflammatory cells account for 28.7 % and 69.6 %, respectively.",
        "The ratio of inflammatory cells is 0.696.",
    ],
)
def test_true_texts_pass(text: str) -> None:
    verdict = verify(text, EXAMPLE)
    assert verdict.unsupported == []
    assert verdict.claims > 0
    assert verdict.hallucination_rate == 0.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Inflammatory cells make up 68.6 %.", "number"),
        ("There are 4,510 nuclei.", "number"),
        ("Neoplastic cells make up 69.6 %.", "class"),
        ("Neoplastic cells make up 69.6 % and inflammatory cells 28.7 %.", "class"),
        ("Inflammatory and neoplastic cells account for 28.7 % and 69.6 %, respectively.", "class"),
        ("The mean distance from immune to tumor cells is 136 µm.", "unit"),
        ("Neoplastic nuclei have a mean area of 3216 px.", "unit"),
        ("Neoplastic nuclei have a mean area of 3216 %.", "unit"),
        ("The patch is immune cold.", "phenotype"),
        ("The stroma is desmoplastic.", "phenotype"),
        ("The patch is not immune hot.", "phenotype"),
        ("Neoplastic cells predominate.", "class"),
        ("Neoplastic cells outnumber inflammatory cells.", "class"),
        ("Epithelial cells are present.", "class"),
        ("There are no dead cells.", "class"),
        ("Lymphocytes are seen.", "class"),
        ("Mitoses are frequent.", "finding"),
        ("CD8 is expressed.", "finding"),
        ("This predicts a poor prognosis.", "clinical"),
    ],
)
def test_each_kind_of_falsehood_is_caught(text: str, kind: str) -> None:
    found = kinds(text)
    assert found
    assert set(found) == {kind}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Lymphocytes reach 2,700 per mm² in carcinoma.", "class"),
        ("Macrophages reach 2,700 per mm² in stroma.", "class"),
        ("Lymphocytes reach 2,700 per µm² in stroma.", "unit"),
        ("Lymphocytes reach 2,710 per mm² in stroma.", "number"),
        ("Lymphocytes are denser in carcinoma (400 per mm²) than in stroma (2,700 per mm²).", "comparison"),
        ("The tumor is an immune desert.", "phenotype"),
        ("Plasma cells are scattered through the stroma.", "class"),
        ("Lymphoid aggregates are present.", "finding"),
    ],
)
def test_on_a_slide_place_and_comparison_count_too(text: str, kind: str) -> None:
    assert kind in kinds(text, slide=True)


def test_the_printed_digits_are_the_tolerance() -> None:
    assert kinds("Inflammatory cells make up 70 %.") == []
    assert kinds("Inflammatory cells make up 69.6 %.") == []
    assert kinds("Inflammatory cells make up 69.61 %.") == []
    assert kinds("Inflammatory cells make up 69.62 %.") == ["number"]


def test_the_rate_counts_claims() -> None:
    verdict = verify("There are 4,501 nuclei. Inflammatory cells make up 12 %. It is calm.", EXAMPLE)
    assert (verdict.claims, len(verdict.unsupported)) == (2, 1)
    assert verdict.hallucination_rate == 0.5
    assert verify("It is calm.", EXAMPLE).hallucination_rate is None


def kept(verdict: Verdict) -> list[bool]:
    """Whether each sentence would be shown: it claims something, and all of it is supported."""
    return [bool(sentence.claims) and not sentence.unsupported for sentence in verdict.sentences]


def count(texts: list[Made]) -> Counter[str]:
    found: Counter[str] = Counter()
    for made in texts:
        text = " ".join(sentence.rstrip(".") + "." for sentence in made.sentences)
        shown = kept(verify(text, Facts.from_json(made.facts)))
        assert len(shown) == len(made.sentences)
        lost = [k for k, one in enumerate(shown) if not one and k != made.false]
        found["true sentences"] += len(shown) - (made.false is not None)
        found["lost"] += len(lost)
        if made.false is None:
            found["true texts"] += 1
            found["false alarms"] += bool(lost)
        else:
            found["false texts"] += 1
            found["misses"] += shown[made.false]
            found[f"missed {made.kind}"] += shown[made.false]
    return found


def test_false_alarms_and_misses_on_two_hundred_texts(capsys: pytest.CaptureFixture[str]) -> None:
    found = count(make_texts(200, 2026))
    with capsys.disabled():
        print(f"\n{dict(found)}")
    assert (found["true texts"], found["false texts"]) == (100, 100)
    assert found["false alarms"] <= 12
    assert found["misses"] <= 3
    for kind in ("number", "class", "unit", "finding", "clinical"):
        assert found[f"missed {kind}"] == 0
