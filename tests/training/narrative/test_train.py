"""Teaching a tiny language model: it learns completions only, resumes, generates, and is verified."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("transformers", reason="language models need the [train] extra")

from helpers.given_facts import example, metrics
from helpers.resumed import assert_went_on, kept
from helpers.tiny_language_model import write_language_model

from histome.config import NarrativeConfig
from histome.errors import Interrupted, ModelError, UsageError
from histome.narrative.facts import Facts
from histome.narrative.verifier import Tally
from histome.narrative.writers.language_models import (
    WriterError,
    ask_model,
    load_folder,
    prompt_of,
    tokens_of,
)
from histome.narrative.writers.patch import describe_patch
from histome.narrative.writers.verified import write
from histome.training.narrative import train
from histome.training.narrative.evaluate import Written
from histome.training.narrative.pairs import Pair, read_pairs
from histome.training.narrative.train import (
    IGNORED,
    MODEL,
    NarrativeRecipe,
    collate,
    lesson,
    train_narrative,
)

pytestmark = pytest.mark.slow

PAIRS = [
    Pair("TME features: hot\nNarrative:", "The patch is immune hot."),
    Pair("TME features: cold\nNarrative:", "The patch is immune cold and quiet."),
    Pair("TME features: none\nNarrative:", "Nothing was found."),
]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
QUICK = NarrativeRecipe(epochs=60, batch=2, learning_rate=5e-3, save_every=1000)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    return write_language_model(folder, [f"{pair.prompt} {pair.completion}" for pair in PAIRS])


@pytest.fixture(scope="module")
def taught(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("taught")
    found = train_narrative(PAIRS, base, out, recipe=QUICK)
    assert found.folder == out / MODEL
    assert found.pairs == len(PAIRS)
    assert found.loss < 0.1
    return out


def test_it_writes_what_it_was_taught(taught: Path) -> None:
    model, tokenizer = load_folder(taught / MODEL)
    for pair in PAIRS:
        assert ask_model(model, tokenizer, [pair.prompt]) == pair.completion


def test_weights_are_safetensors_and_nothing_else(taught: Path) -> None:
    names = {path.suffix for path in (taught / MODEL).iterdir()}
    assert ".safetensors" in names
    assert not names & {".bin", ".pt", ".pkl"}
    rows = (taught / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + QUICK.epochs
    assert float(rows[1].split(",")[-1]) > 10 * float(rows[-1].split(",")[-1])


def test_the_loss_is_on_the_completion_only(base: Path) -> None:
    model, tokenizer = load_folder(base)
    pair = PAIRS[1]
    one = lesson(pair, tokenizer)
    n = len(tokenizer(pair.prompt)["input_ids"])
    assert one.labels[:n] == [IGNORED] * n
    assert one.labels[n:] == one.tokens[n:]
    assert one.tokens[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(one.tokens[n:-1]).strip() == pair.completion
    with torch.no_grad():
        loss = model(**collate([one], 0)).loss.item()
        logits = model(torch.tensor([one.tokens])).logits[0]
    by_hand = [-torch.log_softmax(logits[k - 1], -1)[one.tokens[k]].item() for k in range(n, len(one.tokens))]
    assert loss == pytest.approx(float(np.mean(by_hand)), rel=1e-4)
    whole = [-torch.log_softmax(logits[k - 1], -1)[one.tokens[k]].item() for k in range(1, len(one.tokens))]
    assert loss != pytest.approx(float(np.mean(whole)), rel=1e-4)


def test_what_the_prompt_says_changes_no_gradient_of_its_own_tokens(base: Path) -> None:
    """The outputs at the prompt's places get no gradient: what they predict is not learned."""
    model, tokenizer = load_folder(base)
    one = lesson(PAIRS[0], tokenizer)
    logits = model(torch.tensor([one.tokens])).logits
    logits.retain_grad()
    labels = torch.tensor([one.labels])
    torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=IGNORED).backward()
    n = sum(label == IGNORED for label in one.labels)
    assert logits.grad[0, : n - 1].abs().max() == 0
    assert logits.grad[0, n - 1 : -1].abs().sum() > 0


def test_padding_is_not_learned(base: Path) -> None:
    model, tokenizer = load_folder(base)
    short, long = (lesson(pair, tokenizer) for pair in (PAIRS[2], PAIRS[1]))
    batch = collate([short, long], tokenizer.pad_token_id)
    assert batch["labels"][0, len(short.tokens) :].unique().tolist() in ([], [IGNORED])
    with torch.no_grad():
        alone = [model(**collate([one], 0)) for one in (short, long)]
        n = [sum(label != IGNORED for label in one.labels) for one in (short, long)]
        together = model(**batch).loss.item()
    mean = (alone[0].loss.item() * n[0] + alone[1].loss.item() * n[1]) / sum(n)
    assert together == pytest.approx(mean, rel=1e-4)


def test_a_run_cut_in_two_equals_one_run(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = NarrativeRecipe(epochs=4, batch=1, learning_rate=1e-3, save_every=5)
    train_narrative(PAIRS, base, tmp_path / "whole", recipe=recipe)

    class Killed(Exception):
        pass

    from histome.training.narrative import train as module

    save = module._Teacher.save

    def die(self: module._Teacher) -> None:
        save(self)
        if self.step == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module._Teacher, "save", die)
        with pytest.raises(Killed):
            train_narrative(PAIRS, base, tmp_path / "cut", recipe=recipe)
    cut = kept(tmp_path / "cut")
    train_narrative(PAIRS, base, tmp_path / "cut", recipe=recipe)
    assert_went_on(cut, kept(tmp_path / "cut"), kept(tmp_path / "whole"))


def test_a_checkpoint_of_something_else_is_refused(base: Path, taught: Path) -> None:
    with pytest.raises(UsageError, match="another recipe"):
        train_narrative(PAIRS[:1], base, taught, recipe=QUICK)


def test_another_model_or_another_text_is_something_else(base: Path, taught: Path, tmp_path: Path) -> None:
    other = write_language_model(tmp_path / "other", [pair.prompt for pair in PAIRS], seed=7)
    with pytest.raises(UsageError, match="another recipe"):
        train_narrative(PAIRS, other, taught, recipe=QUICK)
    words = [pair._replace(completion=f"{pair.completion} Indeed.") for pair in PAIRS]
    with pytest.raises(UsageError, match="another recipe"):
        train_narrative(words, base, taught, recipe=QUICK)


def test_a_model_that_diverged_is_not_written(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="smaller learning rate"):
        train_narrative(PAIRS, base, tmp_path, recipe=replace(QUICK, learning_rate=1e12))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("rate", "said"), [(1e30, "is no number, or too large,"), (1e12, "the loss is (nan|inf)")]
)
def test_weights_that_one_step_lost_are_not_written(
    base: Path, tmp_path: Path, rate: float, said: str
) -> None:
    """The loss of the only step is that of the weights before it."""
    recipe = NarrativeRecipe(epochs=1, batch=4, learning_rate=rate)
    with pytest.raises(UsageError, match=rf"{said} after step 1; take a smaller learning rate"):
        train_narrative(PAIRS, base, tmp_path, recipe=recipe)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_checkpoint_without_weights_is_damaged(base: Path, tmp_path: Path) -> None:
    """LoRA's are a part of the model's, so a lack was taken for the others."""
    pytest.importorskip("peft")
    recipe = NarrativeRecipe(epochs=1, batch=4, lora_rank=2)
    train_narrative(PAIRS, base, tmp_path, recipe=recipe)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({**state, "net": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match=r"checkpoint\.pt: cannot be read \(.*not those that are learned"):
        train_narrative(PAIRS, base, tmp_path, recipe=recipe)


def test_a_lost_checkpoint_becomes_no_model(base: Path, tmp_path: Path) -> None:
    recipe = NarrativeRecipe(epochs=1, batch=4)
    train_narrative(PAIRS, base, tmp_path, recipe=recipe)
    shutil.rmtree(tmp_path / "model")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    next(iter(state["net"].values())).fill_(float("nan"))
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(
        UsageError, match=r"is no number, or too large, after step 1; .* remove checkpoint\.pt"
    ):
        train_narrative(PAIRS, base, tmp_path, recipe=recipe)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), float("-inf"), 1e38])
def test_a_rate_that_is_no_number_is_told_before_the_model_is_read(tmp_path: Path, rate: float) -> None:
    with pytest.raises(UsageError, match="--learning-rate"):
        train_narrative(PAIRS, tmp_path / "none", tmp_path, recipe=replace(QUICK, learning_rate=rate))


def test_a_run_that_diverges_ends_at_once(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loss is (nan|inf) at step \d;"):
        train_narrative(PAIRS, base, tmp_path, recipe=replace(QUICK, epochs=10_000, learning_rate=1e12))


def test_a_tokenizer_of_another_model_is_told(base: Path, tmp_path: Path) -> None:
    """That of a model with more words gives numbers that this one has no weights of."""
    text = " ".join(pair.completion for pair in PAIRS)
    few = write_language_model(tmp_path / "few", ["a"])
    many = write_language_model(tmp_path / "many", [text] * 3)
    (few / "tokenizer.json").write_bytes((many / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match=r"few: its tokenizer gives token \d+ of \d+, the model knows 257"):
        train_narrative(PAIRS, few, tmp_path / "out", recipe=QUICK)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_an_end_is_told(tmp_path: Path) -> None:
    folder = write_language_model(tmp_path / "endless", ["a"])
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    with pytest.raises(ModelError, match="no token that ends a text"):
        train_narrative(PAIRS, folder, tmp_path / "out", recipe=QUICK)


def test_a_model_is_not_written_over_its_own_base(taught: Path) -> None:
    with pytest.raises(UsageError, match="would be written over"):
        train_narrative(PAIRS, taught / MODEL, taught, recipe=QUICK)


def test_a_checkpoint_that_is_damaged_is_told(base: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UsageError, match=r"checkpoint\.pt: cannot be read \(.*remove it to begin anew"):
        train_narrative(PAIRS, base, tmp_path, recipe=QUICK)


def test_a_rank_that_no_matrix_has_is_told(base: Path, tmp_path: Path) -> None:
    """Matrices of it would fill the memory."""
    with pytest.raises(UsageError, match="--lora 100000000: the widest matrix of the model has rank 64"):
        train_narrative(PAIRS, base, tmp_path, recipe=replace(QUICK, lora_rank=100_000_000))


def test_nothing_can_be_checked_without_facts(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--checked 2: no pair has facts"):
        train_narrative(PAIRS, base, tmp_path, recipe=replace(QUICK, checked=2))


def test_a_device_that_is_not_there_is_told(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device nosuch"):
        train_narrative(PAIRS, base, tmp_path, recipe=QUICK, device="nosuch")


def test_pairs_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines = [
        {"prompt": "p", "narrative": "n"},
        {"facts": example(), "narrative": "by a person"},
        {"facts": example()},
        {"prompt": "p", "narrative": "n", "prompt_id": 1, "narrative_1": "m"},
        {"facts": example(), "narrative": "n", "prompt_id": 1},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    pairs = read_pairs(path)
    assert pairs[0] == Pair("p", "n")
    assert pairs[1] == Pair(prompt_of(Facts.of_patch(example())), "by a person", Facts.of_patch(example()))
    assert pairs[3] == pairs[0]  # names that are near one that is there, or not wanted, are the file's own
    assert pairs[4] == pairs[1]._replace(completion="n")
    assert pairs[2].completion == " ".join(s.text for s in describe_patch(Facts.of_patch(example())))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ""),
        ("[]", "no JSON object"),
        ("[" * 20_000, "nested too deeply"),
        ('{"prompt": "p"}', "no 'narrative'"),
        ('{"narrative": "n"}', "no 'prompt'"),
        ('{"facts": {}}', "no raw_data"),
        ('{"prompt": null, "narrative": "n"}', "prompt is null, no text"),
        ('{"prompt": "p", "narrative": null}', "narrative is null, no text"),
        ('{"prompt": "p", "narrative": 5}', "narrative is 5, no text"),
        ('{"prompt": "p", "narrative": " "}', 'narrative is " ", no text'),
        ('{"prompt": "p", "narrative": "\\ud800"}', "surrogate"),
        ('{"prompt": "p", "narratve": "n"}', "unknown 'narratve'; did you mean 'narrative'"),
        (json.dumps({"facts": example(), "narratve": "n"}), "unknown 'narratve'; did you mean 'narrative'"),
        ('{"prompt": "p", "narrative": "n", "fact": {}}', "unknown 'fact'; did you mean 'facts'"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "p", "narrative": "n"}\n' + line)
    with pytest.raises(UsageError, match=rf"pairs\.jsonl: line 2 is no pair \(.*{said}") as caught:
        read_pairs(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ['{"prompt": "p", "narrative": "a\u2028b"}', '\ufeff{"prompt": "p", "narrative": "n"}']
)
def test_a_line_ends_at_its_end_alone_and_a_mark_before_the_first_is_none(tmp_path: Path, given: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(f"{given}\r\n", encoding="utf-8")
    assert [pair.prompt for pair in read_pairs(tmp_path / "pairs.jsonl")] == ["p"]


def test_facts_without_a_text_take_the_grounded_one_and_an_empty_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"facts": example(), "narrative": None}))
    assert read_pairs(path)[0].completion.startswith(describe_patch(Facts.of_patch(example()))[0].text)
    path.write_text(json.dumps({"facts": example(), "narrative": ""}))
    with pytest.raises(UsageError, match=r'line 1 is no pair \(narrative is "", no text'):
        read_pairs(path)


@pytest.mark.parametrize("content", [None, ""])
def test_no_pairs(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "pairs.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"pairs.jsonl"):
        read_pairs(path)


def test_a_model_too_short_for_every_prompt(tmp_path: Path) -> None:
    folder = write_language_model(tmp_path / "short", ["a"], positions=8)
    with pytest.raises(ModelError, match="longer than the 8 tokens"):
        train_narrative(PAIRS, folder, tmp_path / "out")
    with pytest.raises(WriterError, match="the model reads 8"):
        ask_model(*load_folder(folder), [PAIRS[0].prompt])


def with_template(folder: Path, template: str) -> Path:
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_a_chat_model_is_taught_as_it_is_asked(tmp_path: Path) -> None:
    texts = [f"{pair.prompt} {pair.completion}" for pair in PAIRS]
    base = with_template(write_language_model(tmp_path / "base", [*texts, CHAT]), CHAT)
    found = train_narrative(PAIRS, base, tmp_path / "out", recipe=QUICK)
    model, tokenizer = load_folder(found.folder)
    for pair in PAIRS:
        assert ask_model(model, tokenizer, [pair.prompt]) == pair.completion
        learned, asked = lesson(pair, tokenizer), tokens_of(tokenizer, [pair.prompt])["input_ids"][0].tolist()
        assert learned.tokens[: len(asked)] == asked
        assert set(learned.labels[: len(asked)]) == {IGNORED}
        assert tokenizer.decode(learned.labels[len(asked) : -1]) == pair.completion
        assert (
            tokenizer.decode(learned.tokens)
            == f"<|user|>\n{pair.prompt}\n<|assistant|>\n{pair.completion}<end>"
        )


def test_without_a_template_prompt_and_text_are_one_line_as_ever(base: Path) -> None:
    _, tokenizer = load_folder(base)
    whole = tokenizer(PAIRS[0].prompt)["input_ids"] + tokenizer(f" {PAIRS[0].completion}")["input_ids"]
    assert lesson(PAIRS[0], tokenizer).tokens == [*whole, tokenizer.eos_token_id]


def test_a_template_that_writes_the_time_ends_no_run(tmp_path: Path) -> None:
    """Those of some models write the date; a run goes on the next day."""
    clock = "{{ strftime_now('%H:%M:%S.%f') }}" + CHAT
    base = with_template(write_language_model(tmp_path / "base", [CHAT]), clock)
    _, tokenizer = load_folder(base)
    assert lesson(PAIRS[0], tokenizer) != lesson(PAIRS[0], tokenizer)
    recipe = NarrativeRecipe(epochs=1)
    found = train_narrative(PAIRS, base, tmp_path / "out", recipe=recipe)
    assert train_narrative(PAIRS, base, tmp_path / "out", recipe=recipe) == found
    with_template(base, CHAT)
    with pytest.raises(UsageError, match="another recipe"):
        train_narrative(PAIRS, base, tmp_path / "out", recipe=recipe)


def test_a_template_that_fails_is_told(tmp_path: Path) -> None:
    base = with_template(write_language_model(tmp_path / "base", ["a"]), "{{ raise_exception('no') }}")
    with pytest.raises(ModelError, match=r"base: the chat template or tokenizer failed \(TemplateError\)"):
        train_narrative(PAIRS, base, tmp_path / "out", recipe=QUICK)


@pytest.mark.parametrize("template", [None, CHAT])
def test_a_language_model_as_writer_is_verified(tmp_path: Path, template: str | None) -> None:
    """Taught it may stand; an untaught one is replaced by the grounded text."""
    facts = Facts.of_patch(
        {
            "raw_data": {"total_cell_count": 10, "count_Inflammatory": 7, "ratio_Inflammatory": 0.7},
            "interpretation": {"immune": "Immune Hot"},
            "generated_tokens": [],
        }
    )
    pair = Pair(
        prompt_of(facts), "Inflammatory cells make up 70 %. The patch is immune hot. There are 10 cells."
    )
    model = write_language_model(tmp_path / "base", [f"{pair.prompt} {pair.completion}", CHAT], positions=400)
    if template:
        with_template(model, template)
    recipe = NarrativeRecipe(epochs=40, batch=1, learning_rate=5e-3, save_every=1000)
    taught = train_narrative([pair], model, tmp_path / "out", recipe=recipe)
    config = NarrativeConfig(writer="transformers", model=str(taught.folder), timeout_s=300)
    found = write(facts, config)
    assert found.writer == "transformers"
    assert found.text.startswith(pair.completion)
    assert ask_model(*load_folder(taught.folder), [pair.prompt], max_tokens=40) == pair.completion
    untaught = write(facts, config.model_copy(update={"model": str(model)}))
    assert untaught.writer == "grounded"
    assert "is not shown" in untaught.note


def test_the_limit_on_tokens_is_the_models_and_what_is_longer_is_left_out(tmp_path: Path) -> None:
    """A slide's prompt is long: a model that reads it is taught it."""
    long = Pair("TME features: " + "cold " * 1200 + "Narrative:", "The patch is immune cold.")
    wide = write_language_model(tmp_path / "wide", ["a"], positions=8192)
    recipe = NarrativeRecipe(epochs=1, batch=1)
    assert len(lesson(long, load_folder(wide)[1]).tokens) > 2000
    assert train_narrative([long], wide, tmp_path / "a", recipe=recipe)[2:4] == (1, 0)
    narrow = write_language_model(tmp_path / "narrow", ["a"], positions=1024)
    assert train_narrative([long, *PAIRS], narrow, tmp_path / "b", recipe=recipe)[2:4] == (3, 1)
    with pytest.raises(ModelError, match="2 tokens of most_tokens"):
        train_narrative(PAIRS, wide, tmp_path / "c", recipe=NarrativeRecipe(most_tokens=2))


def test_what_is_too_long_is_told_by_what_it_is_of_and_for_which_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, patch = Facts.of_slide(metrics(), {}), Facts.of_patch(example())
    pairs = [Pair(prompt_of(slide), text, slide) for text in ("One.", "Two.")] + [
        Pair(prompt_of(patch), "One.", patch)
    ]
    base = write_language_model(tmp_path / "base", [pairs[2].prompt], positions=1024)
    lengths = [len(lesson(pair, load_folder(base)[1]).tokens) for pair in pairs]
    assert lengths[2] <= 1024 < lengths[0]
    recipe = NarrativeRecipe(epochs=1)
    assert train_narrative(pairs, base, tmp_path / "a", recipe=recipe).left_out == 2
    told = (
        f"warning: 2 of 3 pairs are longer than the 1,024 tokens that {base} reads (up to {lengths[0]:,}) and"
    )
    assert f"{told} left out: no pair is left of 1 of 1 slides, 0 of 1 patches\n" in capsys.readouterr().out
    most = replace(recipe, most_tokens=lengths[2])
    train_narrative([*pairs, *PAIRS], base, tmp_path / "b", recipe=most)
    out = capsys.readouterr().out
    assert f"than the {lengths[2]:,} tokens of --most-tokens (up" in out
    assert "no pair is left of 1 of 1 slides, 0 of 1 patches, 0 of 3 prompts\n" in out


def test_lora_teaches_few_weights_and_writes_a_whole_model(base: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    recipe = NarrativeRecipe(epochs=6, batch=3, learning_rate=2e-2, lora_rank=8, save_every=1000)
    found = train_narrative(PAIRS, base, tmp_path, recipe=recipe)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["net"]
    assert state
    assert all("lora_" in name for name in state)
    (model, _), (before, _) = load_folder(found.folder), load_folder(base)
    assert {n: p.shape for n, p in model.named_parameters()} == {
        n: p.shape for n, p in before.named_parameters()
    }
    assert torch.equal(model.model.embed_tokens.weight, before.model.embed_tokens.weight)
    assert not torch.equal(
        model.model.layers[0].mlp.up_proj.weight, before.model.layers[0].mlp.up_proj.weight
    )
    first = (tmp_path / "log.csv").read_text().splitlines()[1]
    assert found.loss < float(first.split(",")[-1])
    assert train_narrative(PAIRS, base, tmp_path, recipe=recipe).loss == found.loss  # resumed at its end


def test_the_verifier_reads_what_is_written_of_facts_kept_back(tmp_path: Path) -> None:
    """Taught one true sentence of three patches, it is right on the fourth, which it did not see."""
    pairs = []
    for k in range(4):
        facts = Facts.of_patch(
            {
                "raw_data": {
                    "total_cell_count": 100 + k,
                    "count_Inflammatory": 70,
                    "ratio_Inflammatory": 0.7,
                },
                "interpretation": {"immune": "Immune Hot"},
                "generated_tokens": [],
            }
        )
        pairs += [Pair(prompt_of(facts), text, facts) for text in ("It is immune hot.",) * 2]
    texts = [f"{pair.prompt} {pair.completion}" for pair in pairs]
    model = write_language_model(tmp_path / "base", texts, positions=512)
    recipe = NarrativeRecipe(epochs=12, batch=2, learning_rate=5e-3, checked=1, save_every=1000)
    found = train_narrative(pairs, model, tmp_path / "out", recipe=recipe)
    assert (found.pairs, found.written) == (6, Written(1, Tally(1, 0, 0)))
    header, *rows = (tmp_path / "out" / "log.csv").read_text().splitlines()
    assert header.endswith("loss,supported,contradicted,not_checkable,sentences,no_text")
    assert len(rows) == 12
    assert rows[-1].endswith("1.0,0.0,0.0,1,0")
    assert train_narrative(pairs, model, tmp_path / "out", recipe=recipe) == found  # resumed at its end
    with pytest.raises(UsageError, match="none is left"):
        train_narrative(pairs, model, tmp_path / "none", recipe=NarrativeRecipe(checked=4))


def test_a_run_stopped_while_it_is_verified_keeps_what_it_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = [Facts.of_patch(example() | {"generated_tokens": [str(k)]}) for k in range(3)]
    pairs = [Pair(prompt_of(each), "The patch is immune hot.", each) for each in facts]
    base = write_language_model(tmp_path / "base", [p.prompt + p.completion for p in pairs], positions=2048)
    recipe = NarrativeRecipe(epochs=2, batch=1, checked=1)
    undisturbed = train_narrative(pairs, base, tmp_path / "whole", recipe=recipe)

    def stopped(*_: object, **__: object) -> Written:
        raise Interrupted(signal.SIGTERM)

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(train, "verified_texts", stopped)
        for _ in range(2):  # of the same epoch each time
            with pytest.raises(Interrupted):
                train_narrative(pairs, base, out, recipe=recipe)
            assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 2
    assert train_narrative(pairs, base, out, recipe=recipe) == undisturbed._replace(folder=out / MODEL)
    whole, again = ((folder / "log.csv").read_text().splitlines() for folder in (tmp_path / "whole", out))
    assert [row.split(",")[::2] for row in whole] == [row.split(",")[::2] for row in again]
