"""Pairs made from profiles: other words, the same facts, and nothing that the verifier does not support."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")
pytest.importorskip("transformers", reason="language models need the [train] extra")

from helpers.cells import cell_table
from helpers.given_facts import EXAMPLE, example, metrics
from helpers.tiny_language_model import write_language_model

from histome.cli import main
from histome.errors import OutputError, UsageError
from histome.narrative import verify
from histome.narrative.facts import Facts
from histome.narrative.verifier import Tally
from histome.narrative.writers.verified import grounded_sentences
from histome.phenotype.patch import describe
from histome.training.narrative import pairs as module
from histome.training.narrative import train
from histome.training.narrative.evaluate import Written
from histome.training.narrative.pairs import make_pairs, read_pairs, reworded, write_pairs


def slide_facts() -> Facts:
    return Facts.of_slide(metrics(), {})


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a profile of two tiles, and one of a run that was not finished; c is none yet."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 500, 300), rng.uniform(0, 250, 300)
    cells = cell_table(x, y, rng.integers(0, 9, 300), area_um2=rng.uniform(20, 60, 300))
    for name in ("a", "b"):
        (tmp_path / "profiles" / name).mkdir(parents=True)
        (tmp_path / "profiles" / name / "run.json").write_text("{}")

    def load(path: Path) -> SimpleNamespace:
        if Path(path).name == "b":
            raise OutputError("not finished")
        other = Path(path).name == "c"
        return SimpleNamespace(metrics=0.5 if other else 0.81, cells=cells.slice(0, 200) if other else cells)

    monkeypatch.setattr(module, "load_profile", load)
    monkeypatch.setattr(module, "MetricTable", lambda confidence: metrics(CONFIDENCE_MEAN_ALL=confidence))
    return tmp_path / "profiles"


def test_a_profile_gives_its_slide_and_its_tiles_in_several_ways(profiles: Path) -> None:
    pairs = make_pairs(profiles, ways=3).pairs
    kinds = {pair.facts.kind.name for pair in pairs if pair.facts}
    assert len({pair.prompt for pair in pairs}) == 3
    assert kinds == {"slide", "patch"}
    assert {pair.profile for pair in pairs} == {"a"}
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


def drawn() -> list[Facts]:
    """Slides and patches, drawn so that every rule has its sentence."""
    small = describe({**EXAMPLE, "count_Inflammatory": 9, "ratio_Inflammatory": 0.002}, unit="um")
    slides = [metrics(), metrics(ABSOLUTE_AREA_CARCINOMA=0.0)]
    return [*(Facts.of_slide(each, {}) for each in slides), Facts.of_patch(example()), Facts.of_patch(small)]


@pytest.mark.parametrize(("said", "way"), [(rule.said, way) for rule in module._rules() for way in rule.ways])
def test_every_way_of_every_rule_gives_a_sentence_that_stands(said: str, way: str) -> None:
    """A template that the verifier never lets through teaches nothing."""
    rule = module._Rule(said=said, ways=(way,))
    texts = [
        (text, facts)
        for facts in drawn()
        for sentence in grounded_sentences(facts)
        for text in module._said(rule, sentence.text)
    ]
    assert texts
    assert any(not verify(text, facts).unsupported for text, facts in texts), texts


@pytest.mark.parametrize("word", ["section", "field", "patch"])
def test_a_section_a_field_and_a_patch_are_said_alike(word: str) -> None:
    ways = list(module._said(module._rules()[0], f"The {word} holds 90 cells on 2.50 mm² of tissue."))
    assert f"The {word} contains 90 cells on 2.50 mm² of tissue." in ways
    assert "There are 90 cells on 2.50 mm² of tissue." in ways


@pytest.mark.parametrize(
    ("first", "within"),
    [
        ("Carcinoma", "carcinoma"),
        ("Neoplastic", "neoplastic"),
        ("Langerhans", "Langerhans"),
        ("TIL", "TIL"),
    ],
)
def test_what_began_a_sentence_is_small_within_one_but_names(first: str, within: str) -> None:
    said = {
        text
        for rule in module._rules()
        for end in (".", " and lymphocyte nuclei 29.2 µm².")
        for text in module._said(rule, f"{first} nuclei measure 61.5 µm² on average{end}")
    }
    assert f"{first} nuclei average 61.5 µm²." in said
    assert f"The mean area of {within} nuclei is 61.5 µm²." in said
    assert f"On average, {within} nuclei measure 61.5 µm² and lymphocyte nuclei 29.2 µm²." in said


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
    read = read_pairs(tmp_path / "pairs.jsonl")
    assert [(*pair[:2], pair.profile) for pair in read] == [(*pair[:2], pair.profile) for pair in first]


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


def test_one_command_teaches_a_model_on_profiles(profiles: Path, tmp_path: Path, capfd) -> None:
    pytest.importorskip("peft")
    (profiles / "c").mkdir()
    (profiles / "c" / "run.json").write_text("{}")
    made = make_pairs(profiles, ways=1).pairs
    assert [pair.profile for pair in made] == ["a"] * 3 + ["c"] * 3
    model = write_language_model(tmp_path / "model", [made[0].prompt], positions=8192)
    words = ["train", "narrative", str(profiles), "--model", str(model), "--epochs", "1", "--ways", "1"]
    words += ["--lora", "2", "--batch", "2", "--checked", "2"]
    capfd.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main([*words, "-o", str(tmp_path / "out")])
    told = capfd.readouterr()
    assert "taught with 3 pairs" in told.out
    assert "kept back: 1 of 2 profiles whole, 3 prompts; 1 slides and 1 patches of them" in told.out
    assert "step 2," in told.out
    assert "warning: profiles left out: 1 (b: not finished)" in told.err
    assert "of 2 " in told.out + told.err
    assert "Loading weights" not in told.err
    assert "Writing model shards" not in told.err
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()
    assert len(read_pairs(tmp_path / "out" / "pairs.jsonl")) == 6


def test_what_was_written_of_what_was_kept_back_is_told_with_n(
    profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "narrative", str(profiles), "--model", "none", "-o", str(tmp_path / "taught")]

    (tmp_path / "taught").mkdir()

    def told(written: Written) -> tuple[str, str]:
        taught = train.Taught(tmp_path, 0.0, 1, written=written)
        monkeypatch.setattr(train, "train_narrative", lambda *_, **__: taught)
        with pytest.raises(SystemExit, match="0"):
            main(words)
        return tuple(capsys.readouterr())

    out, _ = told(Written(8, Tally(41, 12, 4)))
    assert "of 8 kept back: 41 of 57 sentences supported, 12 contradicted, 4 not checkable\n" in out
    out, err = told(Written(3, Tally(0, 0, 0), ("too long", "it wrote nothing", "too long")))
    assert "supported" not in out
    assert "warning: 3 of 3 that were asked gave no text: too long; it wrote nothing\n" in err
    assert "warning: no sentence was written" in err
