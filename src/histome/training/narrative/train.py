"""Teach a causal language model to write narratives: supervised, with a loss on the completion only.

After SegTME-UNI2 (arXiv:2606.17702): pairs of (prompt, narrative of a person). Where a pair has no narrative
the grounded writer's is taken, which teaches the form and nothing that the grounded writer does not know.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from histome.errors import ModelError, UsageError
from histome.narrative.facts import Facts
from histome.narrative.writers.language_models import load_folder, prompt_of
from histome.narrative.writers.verified import grounded_sentences
from histome.store.disk import writing
from histome.training.loop import Trainer, run

IGNORED = -100  # the label of a token that is not learned: torch's cross-entropy leaves it out
MODEL = "model"


@dataclass(frozen=True)
class NarrativeRecipe:
    """All that decides how a model is taught: equal recipe, pairs and model give equal weights."""

    epochs: int = 3
    batch: int = 4
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    most_tokens: int = 1024
    save_every: int = 50
    seed: int = 1


class Pair(NamedTuple):
    """A prompt and what is to be written after it."""

    prompt: str
    completion: str


class Lesson(NamedTuple):
    """A pair as tokens; `labels` are those of the completion and its end, `IGNORED` over the prompt."""

    tokens: list[int]
    labels: list[int]


class Taught(NamedTuple):
    """The folder of the model that was taught, its last mean loss, and how many pairs it learned from."""

    folder: Path
    loss: float
    pairs: int


def read_pairs(path: str | Path) -> list[Pair]:
    """Read pairs from a JSONL file: a line has `prompt` or `facts`, and `narrative` or none.

    `facts` is the JSON of `histome tme patch`, or a slide's. Without a narrative the grounded writer's is
    taken; a line with a prompt must have one. Raises UsageError, one line, naming the line of the file.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read; give a JSONL file of pairs") from error
    pairs = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                pairs.append(_pair(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
                raise UsageError(
                    f"{path}: line {number} is no pair ({error}); give prompt and narrative, or facts"
                ) from error
    if not pairs:
        raise UsageError(f"{path}: there is no pair in it")
    return pairs


def _pair(line: Mapping[str, Any]) -> Pair:
    text = line.get("narrative")
    if line.get("facts") is None:
        if text is None:
            raise ValueError("a prompt without a narrative")
        return Pair(str(line["prompt"]), str(text))
    facts = Facts.from_json(line["facts"])
    grounded = " ".join(sentence.text for sentence in grounded_sentences(facts))
    return Pair(prompt_of(facts), str(text or grounded))


def lesson(pair: Pair, tokenizer: Any, most_tokens: int) -> Lesson:
    """Return a pair as tokens, cut at `most_tokens`; only the completion and the end are learned."""
    prompt = tokenizer(pair.prompt, add_special_tokens=True)["input_ids"]
    completion = tokenizer(f" {pair.completion}", add_special_tokens=False)["input_ids"]
    completion = [*completion, tokenizer.eos_token_id]
    tokens = [*prompt, *completion][:most_tokens]
    labels = [*[IGNORED] * len(prompt), *completion][:most_tokens]
    return Lesson(tokens, labels)


def collate(lessons: Sequence[Lesson], pad: int) -> dict[str, Tensor]:
    """Return a batch, padded right: input_ids, attention_mask, labels, each (n, longest)."""
    longest = max(len(each.tokens) for each in lessons)
    rows = [(each, longest - len(each.tokens)) for each in lessons]
    return {
        "input_ids": torch.tensor([[*each.tokens, *[pad] * short] for each, short in rows]),
        "attention_mask": torch.tensor([[*[1] * len(each.tokens), *[0] * short] for each, short in rows]),
        "labels": torch.tensor([[*each.labels, *[IGNORED] * short] for each, short in rows]),
    }


def train_narrative(
    pairs: Sequence[Pair],
    base: str | Path,
    out: str | Path,
    *,
    recipe: NarrativeRecipe | None = None,
    device: str = "cpu",
) -> Taught:
    """Teach the model of folder `base` and write it to `out`/model as safetensors with its tokenizer.

    Goes on from `out`/checkpoint.pt where there is one of the same recipe and number of pairs; `out`/log.csv
    gets a line per epoch. Raises ModelError or UsageError for a folder without a model, or a model that reads
    fewer tokens than every prompt has.
    """
    recipe, out = recipe or NarrativeRecipe(), Path(out)
    torch.manual_seed(recipe.seed)
    model, tokenizer = load_folder(base)
    room = min(recipe.most_tokens, getattr(model.config, "max_position_embeddings", recipe.most_tokens))
    lessons = [lesson(pair, tokenizer, room) for pair in pairs]
    lessons = [each for each in lessons if any(label != IGNORED for label in each.labels)]
    if not lessons:
        raise ModelError(
            f"{base}: every prompt is longer than the {room} tokens it reads; take another model"
        )
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        loss = _Teacher(model.to(device), lessons, recipe, out, pad=_pad(tokenizer)).teach()
        model.to("cpu").eval().save_pretrained(out / MODEL)
        tokenizer.save_pretrained(out / MODEL)
    return Taught(out / MODEL, loss, len(lessons))


def _pad(tokenizer: Any) -> int:
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


class _Teacher(Trainer):
    """Trains the model; the learning rate falls to 0 over the run."""

    clip_norm = 1.0

    def __init__(
        self, model: Any, lessons: Sequence[Lesson], recipe: NarrativeRecipe, out: Path, *, pad: int
    ) -> None:
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        settings = {"recipe": asdict(recipe), "lessons": len(lessons)}
        super().__init__(model, optimizer, out, device=str(model.device), settings=settings)
        self.lessons, self.recipe, self.out, self.pad = lessons, recipe, out, pad
        self.per_epoch = math.ceil(len(lessons) / recipe.batch)
        self.total = self.per_epoch * recipe.epochs

    def numbers(self) -> dict[str, Any]:
        """The step and the losses so far."""
        return super().numbers() | {"losses": self.losses}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take up the step and the losses."""
        super().restore(numbers)
        self.losses: list[float] = list(numbers.get("losses", ()))

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batches that are left; the order of epoch k depends on (seed, k) alone."""
        size = self.recipe.batch
        for epoch in range(self.step // self.per_epoch, self.recipe.epochs):
            generator = torch.Generator().manual_seed(1000 * self.recipe.seed + epoch)
            order = torch.randperm(len(self.lessons), generator=generator).tolist()
            for first in range((self.step - epoch * self.per_epoch) * size, len(order), size):
                yield collate([self.lessons[k] for k in order[first : first + size]], self.pad)

    def update(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimizer step on a batch of `collate`."""
        self.set_rate(self.recipe.learning_rate * (1 - self.step / self.total))
        # Seeded by step: a resumed run draws the dropout that an undisturbed one would.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        loss = self.net(**{name: part.to(self.device) for name, part in batch.items()}).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.descend()
        self.losses.append(loss.item())
        return {"loss": self.losses[-1]}

    def teach(self) -> float:
        """Take every step that is left and return the mean loss of the last epoch."""
        self.net.train()

        def evaluate() -> dict[str, float]:
            return {"loss": round(self._mean(), 5)}

        often, log = self.recipe.save_every, self.out / "log.csv"
        every = self.per_epoch
        run(self, self._batches(), self.total, every=every, evaluate=evaluate, save_every=often, log=log)
        return self._mean()

    def _mean(self) -> float:
        last = self.losses[-self.per_epoch :]
        return sum(last) / max(1, len(last))
