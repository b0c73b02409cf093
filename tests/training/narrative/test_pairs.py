"""Pairs made from profiles: other words, the same facts, and nothing that the verifier does not support."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("transformers", reason="language models need the [train] extra")

from helpers.cells import cell_table
from helpers.given_facts import metrics
from helpers.tiny_language_model import write_language_model

from histome.cli import main
from histome.errors import OutputError, UsageError
from histome.narrative import verify
from histome.narrative.facts import Facts
from histome.narrative.writers.verified import grounded_sentences
from histome.training.narrative import pairs as module
from histome.training.narrative import train
from histome.training.narrative.pairs import make_pairs, read_pairs, reworded, write_pairs


def slide_facts() -> Facts:
    return Facts.of_slide(metrics(), {})


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a profile of two tiles, and one of a run that was not finished."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 500, 300), rng.uniform(0, 250, 300)
    cells = cell_table(x, y, rng.integers(0, 9, 300), area_um2=rng.uniform(20, 60, 300))
    for name in ("a", "b"):
        (tmp_path / "profiles" / name).mkdir(parents=True)
        (tmp_path / "profiles" / name / "run.json").write_text("{}")

    def load(path: Path) -> SimpleNamespace:
        if Path(path).name == "b":
            raise OutputError("not finished")
        return SimpleNamespace(metrics=None, cells=cells)

    monkeypatch.setattr(module, "load_profile", load)
    monkeypatch.setattr(module, "MetricTable", lambda table: metrics())
    return tmp_path / "profiles"


def test_a_profile_gives_its_slide_and_its_tiles_in_several_ways(profiles: Path) -> None:
    pairs = make_pairs(profiles, ways=3).pairs
    kinds = {pair.facts.kind.name for pair in pairs if pair.facts}
    assert len({pair.prompt for pair in pairs}) == 3
    assert kinds == {"slide", "patch"}
    assert len(pairs) > 6
    first = pairs[0].facts
    assert first is not None
    assert pairs[0].completion == " ".join(s.text for s in grounded_sentences(first))


def test_every_text_is_supported_and_says_it_in_other_words(profiles: Path) -> None:
    pairs = make_pairs(profiles, ways=4).pairs
    other = 0
    for pair in pairs:
        assert pair.facts is not None
        assert verify(pair.completion, pair.facts).unsupported == []
        other += pair.completion != " ".join(s.text for s in grounded_sentences(pair.facts))
    assert other >= len(pairs) / 2


def test_most_rules_give_a_sentence_that_stands(profiles: Path) -> None:
    """A template that the verifier never lets through teaches nothing."""
    alive = set()
    for facts in {pair.prompt: pair.facts for pair in make_pairs(profiles, ways=1).pairs}.values():
        for sentence in grounded_sentences(facts):
            for rule in module._rules():
                ways = list(module._said(rule, sentence.text))
                alive |= {rule.said for way in ways if not verify(way, facts).unsupported}
    assert len(alive) >= 8, alive


def test_a_false_way_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = slide_facts()
    grounded = grounded_sentences(facts)
    rule = module._Rule(said="The section holds {}", ways=("The section holds no cell",))
    monkeypatch.setattr(module, "_rules", lambda: (rule,))
    assert list(reworded(grounded, facts, np.random.default_rng(0))) == list(grounded)


def test_the_same_seed_gives_the_same_pairs_and_a_file_holds_them(profiles: Path, tmp_path: Path) -> None:
    first, again, other = (make_pairs(profiles, ways=3, seed=seed).pairs for seed in (0, 0, 1))
    assert first == again != other
    write_pairs(first, tmp_path / "pairs.jsonl")
    assert [pair[:2] for pair in read_pairs(tmp_path / "pairs.jsonl")] == [pair[:2] for pair in first]


def test_a_profile_that_cannot_be_used_is_named_and_none_is_refused(profiles: Path, monkeypatch) -> None:
    assert make_pairs(profiles, ways=1).left_out == ["b: not finished"]
    for path in (profiles / "a").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="none of its 1 profiles can be used, such as b: not finished"):
        make_pairs(profiles)


def test_a_profile_whose_cells_are_damaged_teaches_nothing(profiles: Path, monkeypatch) -> None:
    """Its slide would be told, and its tiles not: that is half a profile."""

    class Half:
        metrics = None

        @property
        def cells(self) -> None:
            raise OutputError("cells: cannot be loaded")

    monkeypatch.setattr(module, "load_profile", lambda path: Half())
    with pytest.raises(UsageError, match="none of its 2 profiles can be used, such as a: cells: cannot be"):
        make_pairs(profiles)


def test_a_folder_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no profile in it"):
        make_pairs(tmp_path)


def test_pairs_that_cannot_be_written_are_one_line(
    profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taught" / "pairs.jsonl").mkdir(parents=True)
    monkeypatch.setattr(train, "train_narrative", lambda *_, **__: train.Taught(tmp_path, 0.0, 1))
    words = ["train", "narrative", str(profiles), "--model", "none", "-o", str(tmp_path / "taught")]
    with pytest.raises(SystemExit, match="1"):
        main(words)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"histome: error: {tmp_path / 'taught'}: cannot be written (")


def test_a_seed_that_torch_cannot_take_is_refused(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "narrative", str(profiles), "--model", "none", "-o", "none", "--seed", str(2**63)]
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "--seed" in capsys.readouterr().err


def test_one_command_teaches_a_model_on_profiles(profiles: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("peft")
    model = write_language_model(tmp_path / "model", ["TME features"], positions=8192)
    words = [
        "--model",
        str(model),
        "-o",
        str(tmp_path / "out"),
        "--epochs",
        "1",
        "--ways",
        "1",
        "--lora",
        "2",
    ]
    with pytest.raises(SystemExit, match="0"):
        main(["train", "narrative", str(profiles), *words, "--checked", "1"])
    told = capsys.readouterr()
    assert "taught with 2 pairs" in told.out
    assert "of 1 kept back" in told.out
    assert "warning: profiles left out: 1 (b: not finished)" in told.err
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()
    assert len(read_pairs(tmp_path / "out" / "pairs.jsonl")) == 3
