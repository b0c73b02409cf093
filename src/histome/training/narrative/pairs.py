"""Pairs to learn narratives from: of a file, or made from profiles by rules.

Made ones are what the grounded writer says in other words, by the templates of `paraphrases.toml`, and only
what the verifier supports: they teach the form, and nothing that the grounded writer does not know.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.config import Settings, read_settings
from histome.errors import HistomeError, UsageError
from histome.metrics import MetricTable
from histome.narrative.facts import Facts
from histome.narrative.sentences import Sentence
from histome.narrative.verifier import verify
from histome.narrative.writers.language_models import prompt_of
from histome.narrative.writers.verified import grounded_sentences
from histome.phenotype.axes import PANNUKE_CLASSES, phenotypes
from histome.phenotype.patch import describe
from histome.phenotype.tiles import tile_phenotypes
from histome.store.profile import load_profile
from histome.validation.narrative import read_json_lines

_TILE_UM = 250.0
_NAMES = ("prompt", "facts", "narrative")
_SHOWN = 40
_CLASS_WORDS = {
    word for name in (*CELL_CLASSES, *TISSUE_CLASSES, *PANNUKE_CLASSES) for word in name.lower().split("_")
}
_PLACE = {
    "x_um",
    "y_um",
    "size_um",
    "generated_tokens",
    "undefined",
}  # columns of a tile that are no raw data


class Pair(NamedTuple):
    """A prompt and what is to be written after it; for the evaluation `facts` and `profile`, where known."""

    prompt: str
    completion: str
    facts: Facts | None = None
    profile: str | None = None


class MadePairs(NamedTuple):
    """Pairs of a folder of profiles, and what is wrong with each profile that none were made of."""

    pairs: list[Pair]
    left_out: list[str]


class _Rule(Settings):
    said: str
    ways: tuple[str, ...]


class _Rules(Settings):
    rules: tuple[_Rule, ...]


def read_pairs(path: str | Path) -> list[Pair]:
    """Read pairs from a JSONL file: a line has `prompt` or `facts`, and `narrative` or none.

    `facts` is the JSON of `histome tme patch`, or a slide's. Without a narrative the grounded writer's is
    taken; a line with a prompt must have one. `profile`, any name, joins the lines of one slide. Raises
    UsageError, one line, naming the line of the file where a text is none (null, a number, nothing but
    spaces) or a name is misspelled.
    """
    give = "prompt and narrative, or facts"
    return read_json_lines(path, lambda line, _: _pair(line), thing="pair", give=give)


def _pair(line: Mapping[str, Any]) -> Pair:
    bare = line.get("facts") is None
    missing = [name for name in _NAMES if name not in line and (bare or name != "prompt")]
    for name in line.keys() - _NAMES:
        if near := get_close_matches(name, missing, n=1):
            raise ValueError(f"unknown {name!r}; did you mean {near[0]!r}?")
    profile = None if line.get("profile") is None else str(line["profile"])
    if bare:
        return Pair(_text(line, "prompt"), _text(line, "narrative"), profile=profile)
    facts = Facts.from_json(line["facts"])
    if line.get("narrative") is None:
        return Pair(prompt_of(facts), _joined(grounded_sentences(facts)), facts, profile)
    return Pair(prompt_of(facts), _text(line, "narrative"), facts, profile)


def _text(line: Mapping[str, Any], name: str) -> str:
    """A text of a line; what is none would be taught as it prints, null as "None"."""
    text = line[name]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} is {json.dumps(text)[:_SHOWN]}, no text")
    text.encode()  # half a surrogate pair is no text either: ValueError
    return text


def make_pairs(folder: str | Path, *, ways: int = 4, seed: int = 0) -> MadePairs:
    """Make pairs of all profiles in a folder: of each slide, and of each of its tiles of 250 um.

    A profile that is damaged or was not finished is left out, and said to be.

    Parameters
    ----------
    ways : int
        Texts of each, the grounded writer's first.

    Raises
    ------
    UsageError
        There is no profile in the folder, or none that can be used.
    """
    every, left_out = list[tuple[str, Facts]](), list[str]()
    for path in sorted(Path(folder).rglob("run.json")):
        name = path.parent.relative_to(folder).as_posix()
        try:
            every += [(name, facts) for facts in _facts(path.parent)]
        except HistomeError as error:
            left_out.append(f"{name}: {error}")
    if not every:
        told = f"none of its {len(left_out)} profiles can be used, such as {left_out[0]}" if left_out else ""
        raise UsageError(f"{folder}: {told or 'no profile in it'}; give a folder that histome profile wrote")
    rng = np.random.default_rng(seed)
    pairs = []
    for name, facts in every:
        grounded = grounded_sentences(facts)
        texts = [_joined(grounded), *(_joined(reworded(grounded, facts, rng)) for _ in range(ways - 1))]
        pairs += [Pair(prompt_of(facts), text, facts, name) for text in dict.fromkeys(texts)]
    return MadePairs(pairs, left_out)


def write_pairs(pairs: Sequence[Pair], path: Path) -> None:
    """Write pairs as `read_pairs` reads them."""
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            known = {"prompt": pair.prompt} if pair.facts is None else {"facts": pair.facts.to_json()}
            known |= {} if pair.profile is None else {"profile": pair.profile}
            file.write(json.dumps({**known, "narrative": pair.completion}) + "\n")


def _facts(profile: Path) -> list[Facts]:
    """Return the facts of a slide and of its tiles with enough cells; raises where a part is not whole."""
    found, labels = load_profile(profile), set(phenotypes().axes)
    facts = [Facts.of_slide(MetricTable(found.metrics), {})]
    tiles = tile_phenotypes(found.cells, _TILE_UM)
    for row in tiles.to_pylist():
        if row["total_cell_count"] >= phenotypes().fewest_cells:
            raw = {name: row[name] for name in row if name not in _PLACE | labels}
            raw["undefined"] = {k: v for k, v in json.loads(row["undefined"]).items() if k in raw}
            facts.append(Facts.of_patch(describe(raw, unit="um")))
    return facts


def reworded(sentences: Sequence[Sentence], facts: Facts, rng: np.random.Generator) -> Iterator[Sentence]:
    """Yield sentences in other words where the verifier supports them, else as they are."""
    for sentence in sentences:
        ways = [text for rule in _rules() for text in _said(rule, sentence.text)]
        for k in rng.permutation(len(ways)):
            if not verify(ways[k], facts).unsupported:
                sentence = sentence._replace(text=ways[k])
                break
        yield sentence


def _said(rule: _Rule, text: str) -> Iterator[str]:
    """Yield a sentence in the ways of a rule; nothing where it is none of its sentences."""
    found = re.fullmatch(re.escape(rule.said).replace(r"\{\}", "(.+?)"), text)
    if found is None and not rule.said.endswith("."):
        found = re.fullmatch(re.escape(rule.said).replace(r"\{\}", "(.+?)") + r"\.", text)
    if found is not None:
        parts = found.groups()
        for way in rule.ways:
            inside = rule.said.startswith("{}") and not way.startswith("{}")
            words = way.format(*((_lowered(parts[0]), *parts[1:]) if inside else parts))
            yield words if words.endswith(".") else f"{words}."


def _lowered(text: str) -> str:
    """Return what began a sentence as it stands within one: names and abbreviations keep their capital."""
    first = text.split(" ")[0].lower()
    return first + text[len(first) :] if first in _CLASS_WORDS else text


@cache
def _rules() -> tuple[_Rule, ...]:
    return read_settings(_Rules, files("histome.training.narrative").joinpath("paraphrases.toml")).rules


def _joined(sentences: Sequence[Sentence] | Iterator[Sentence]) -> str:
    return " ".join(sentence.text for sentence in sentences)
