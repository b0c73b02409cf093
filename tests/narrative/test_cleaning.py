"""A language model's text before it is verified: what is no sentence goes, what says something stays."""

import pytest

from histome.narrative.writers.cleaning import cleaned

HOT, CELLS = "The patch is immune hot.", "Inflammatory cells make up 69.6 % of the cells."


@pytest.mark.parametrize(
    "text",
    [
        f"Here is the narrative: {HOT}\n{CELLS}",
        f"Sure, here's a concise summary based on the provided features:\n\n{HOT}\n{CELLS}",
        f"Certainly! Below is the narrative, with unsupported sentences left out.\n{HOT}\n{CELLS}",
        f"**Summary**\n{HOT}\n{CELLS}",
        f"# Tumor microenvironment (TME) narrative\n\n## Immune features:\n{HOT}\n### 2. Overview\n{CELLS}",
        f"Narrative: {HOT}\n**Composition:** {CELLS}",
        f"1. {HOT}\n2) {CELLS}",
        f"- {HOT}\n* {CELLS}",
        "The patch is **immune hot**.\n_Inflammatory cells_ make up ***69.6 %*** of the `cells`.",
        f"<|channel|>analysisIt is cold.<|channel|>final{HOT}\n{CELLS}",
        "<|channel|>analysis<|message|>It is cold.<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{HOT}\n{CELLS}<|return|>",
        f"analysisIt is cold.assistantfinal{HOT}\n{CELLS}",
        f"<analysis>It is cold.</analysis><answer>{HOT}\n{CELLS}</answer>",
        f'{{"narrative": "{HOT}\n{CELLS}"}}',
        f'Here is the JSON:\n```json\n{{"sentences": ["{HOT}", "{CELLS}"]}}\n```',
        f"```\n{HOT}\n{CELLS}\n```",
    ],
)
def test_what_is_no_sentence_goes(text: str) -> None:
    assert cleaned(text) == f"{HOT}\n{CELLS}"


@pytest.mark.parametrize("text", [f"{HOT} {CELLS[0].lower()}{CELLS[1:]}", f"{HOT} {CELLS}"])
def test_a_sentence_may_begin_in_lower_case(text: str) -> None:
    assert cleaned(text) == f"{HOT} {CELLS}"


@pytest.mark.parametrize(
    "text",
    [
        f"Here is a patch without lymphocytes: {HOT}",
        f"Here are 40 cells: {HOT}",
        "Below is a necrotic tissue.",
        "## Necrosis in the stroma",
        "**Immune hot tumor**",
        "Stromal features: no necrosis.",
        "Tumor microenvironment: immune hot.",
        "Inflammatory cells: 69.6 %.",
        "> 90 % of the cells are inflammatory.",
        "-0.3 is the median.",
        "There are 5 * 3 cells, 10**3 nuclei**, p < 0.05* and 0.01*.",
        "It rests on raw_data.count_Dead and __count.",
        "There are approx. forty cells vs. ten, i.e. four times as many.",
        '{"narrative": "The patch is immune',
        "{}: {a}",
        "The <neoplastic> cells are dense.",
    ],
)
def test_what_says_something_stays(text: str) -> None:
    assert cleaned(text) == text.replace("**Immune hot tumor**", "Immune hot tumor").removeprefix("## ")


def test_every_key_and_value_of_an_object_stays() -> None:
    held = f'{{"narrative": "{HOT}", "dead_percent": 40, "narrative": "{CELLS}", "by": {{"dead": null}}}}'
    assert cleaned(held).splitlines() == [HOT, "dead percent: 40", CELLS, "by: ('dead', None)"]


def test_thoughts_are_no_text() -> None:
    assert cleaned("a <thinking>b</thinking> c <think>d") == "a   c"
    assert cleaned("b</think> c") == "c"
    assert cleaned("\ud83d a").encode() == b"? a"
    assert cleaned('{"summary": "\\ud83d"}') == "?"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>" * 140_000 + "</think> a", "a"),
        ("a <thinking>x " * 70_000, "a"),
        ("<|channel|>analysis" * 50_000 + "<|channel|>final a", "a"),
        ("summary: " * 2_000 + "a", "A"),
        ("1. " * 6_000 + "a", "A"),
        ("here is" + " " * 19_000 + "x", "here is" + " " * 19_000 + "x"),
        ("summary " * 2_400 + "a", "summary " * 2_400 + "a"),
        ("*a " * 6_000 + "a", "*a " * 6_000 + "a"),
        ("{" * 19_000, "{" * 19_000),
    ],
)
def test_long_ones_are_read_once(text: str, left: str) -> None:
    assert cleaned(text) == left
