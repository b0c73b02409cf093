"""What is kept back from a model is of slides that it does not learn from, and what it writes is counted."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("transformers", reason="language models need the [train] extra")

from helpers.given_facts import EXAMPLE, metrics

from histome.errors import UsageError
from histome.narrative.facts import SLIDE, Facts
from histome.narrative.verifier import Tally
from histome.narrative.writers.language_models import WriterError, prompt_of
from histome.phenotype.patch import describe
from histome.training.narrative import evaluate as module
from histome.training.narrative.evaluate import Written, keep_back, verified_texts
from histome.training.narrative.pairs import Pair


def profile(name: str | None, n: int, *, tiles: int, ways: int = 2) -> list[Pair]:
    """The pairs of a slide and then of its tiles, as `make_pairs` orders them; n tells slides apart."""
    every = [Facts.of_slide(metrics(CELL_N_TOTAL=10_000.0 + n), {})]
    every += [
        Facts.of_patch(describe({**EXAMPLE, "total_cell_count": 100 * n + tile}, unit="um"))
        for tile in range(tiles)
    ]
    return [Pair(prompt_of(facts), f"{way}.", facts, name) for facts in every for way in range(ways)]


def test_the_last_profiles_are_kept_back_whole_and_slides_are_asked_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = [pair for n, name in enumerate("abc") for pair in profile(name, n, tiles=6)]
    learned, asked = keep_back(pairs, 3)
    assert {pair.profile for pair in learned} == {"a", "b"}
    assert len(learned) == 2 * 7 * 2
    assert [each.kind.name for each in asked] == ["slide", "patch", "patch"]
    assert [each.values["total_cell_count"] for each in asked[1:]] == [200, 203]  # from all over it
    assert not {prompt_of(each) for each in asked} & {pair.prompt for pair in learned}
    told = "kept back: 1 of 3 profiles whole, 7 prompts; 1 slides and 2 patches of them are checked\n"
    assert capsys.readouterr().out == told
    learned, asked = keep_back(pairs, 8)
    assert {pair.profile for pair in learned} == {"a"}
    assert [each.kind is SLIDE for each in asked] == [True] * 2 + [False] * 6


def test_no_profile_is_left_to_learn_from() -> None:
    pairs = [*profile("a", 0, tiles=6), *profile("b", 1, tiles=2)]
    with pytest.raises(UsageError, match="--checked 4: none is left to learn from; check 3 at most"):
        keep_back(pairs, 4)
    assert len(keep_back(pairs, 3)[1]) == 3


def test_a_slide_that_was_profiled_twice_is_not_learned_from() -> None:
    twice = [pair._replace(profile="again") for pair in profile("b", 1, tiles=2)]
    learned, _ = keep_back([*profile("a", 0, tiles=2), *profile("b", 1, tiles=2), *twice], 1)
    assert {pair.profile for pair in learned} == {"a"}


def test_of_one_profile_patches_alone_are_kept_back_and_that_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = profile("a", 0, tiles=6)
    learned, asked = keep_back(pairs, 2)
    assert [each.values["total_cell_count"] for each in asked] == [4, 5]
    assert len(learned) == len(pairs) - 2 * 2
    told = capsys.readouterr().out
    assert told.startswith("kept back: 2 prompts; 0 slides and 2 patches of them are checked\n")
    assert (
        "warning: --checked: there is one profile, and its slide and other patches are learned from" in told
    )


def test_pairs_without_a_profile_are_kept_back_by_their_prompts(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [*profile(None, 0, tiles=3), Pair("p", "n")]
    learned, asked = keep_back(pairs, 2)
    assert [each.values["total_cell_count"] for each in asked] == [1, 2]
    assert learned == [*pairs[:4], pairs[-1]]
    assert "warning" not in capsys.readouterr().out
    learned, asked = keep_back([*profile("a", 1, tiles=3), *pairs], 2)  # nor of one among profiles
    assert len(asked) == 2
    assert "warning" not in capsys.readouterr().out
    assert keep_back(pairs, 0) == (pairs, [])


def test_texts_are_counted_and_those_that_are_none_have_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts.of_patch(describe(EXAMPLE, unit="um"))
    answers = iter(
        ["Inflammatory cells make up 69.6 % of all cells. It is blue. " + "It is red. " * 9, "", None]
    )

    def ask(model: object, tokenizer: object, turns: list[str], *, max_tokens: int) -> str:
        text = next(answers)
        if text is None:
            raise WriterError("the prompt has 3383 tokens, the model reads 1024")
        return text

    monkeypatch.setattr(module, "ask_model", ask)
    model = torch.nn.Linear(1, 1)
    found = verified_texts(model, None, [facts] * 3, max_tokens=9)
    silent = ("it wrote nothing", "the prompt has 3383 tokens, the model reads 1024")
    assert (found.asked, found.silent) == (3, silent)
    assert (found.tally.supported, found.tally.sentences) == (1, 3)  # a loop says nothing new
    assert model.training
    assert verified_texts(model, None, [], max_tokens=9) == Written(0, Tally(0, 0, 0))
