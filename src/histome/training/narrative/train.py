"""Teach a causal language model to write narratives: supervised, with a loss on the completion only.

After SegTME-UNI2 (arXiv:2606.17702): pairs of (prompt, narrative of a person). Where a pair has no narrative
the grounded writer's is taken, which teaches the form and nothing that the grounded writer does not know.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from histome.errors import ModelError, UsageError
from histome.narrative.facts import SLIDE, Facts
from histome.narrative.verifier import Tally
from histome.narrative.writers.language_models import WriterError, load_folder, room_of, tokens_of
from histome.store.disk import writing
from histome.training.checkpoint import Stateful
from histome.training.loop import Trainer, log_row, refuse_lost, run
from histome.training.narrative.evaluate import Written, keep_back, verified_texts
from histome.training.narrative.pairs import Pair
from histome.training.progress import say_now

IGNORED = -100  # the label of a token that is not learned: torch's cross-entropy leaves it out
MODEL = "model"
_LARGEST_RATE = 1e30  # more is no number of 32 bits after the optimizer's corrections
_HEAD_BYTES = 4_000_000  # of each file of the model
_MODEL_FILES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


@dataclass(frozen=True)
class NarrativeRecipe:
    """All that decides how a model is taught: equal recipe, pairs and model give equal weights.

    Attributes
    ----------
    most_tokens : int or None
        Of a pair; None: as many as the model reads. Longer pairs are left out, for a text that is cut
        teaches to stop anywhere.
    lora_rank : int
        Of the low-rank matrices that are learned in place of the weights (Hu et al. 2021, arXiv:2106.09685),
        at twice the scale; 0: the weights are. They are merged into the model that is written.
    checked : int
        Slides and patches that the model writes of after each epoch, for the verifier to read; the profiles
        that they are of are kept from learning, and a pair without a profile by itself.
    """

    epochs: int = 3
    batch: int = 4
    learning_rate: float = 2e-5
    weight_decay: float = 0.01
    most_tokens: int | None = None
    lora_rank: int = 0
    checked: int = 0
    save_every: int = 50
    seed: int = 1


class Lesson(NamedTuple):
    """A pair as tokens; `labels` are those of the completion and its end, `IGNORED` over the prompt."""

    tokens: list[int]
    labels: list[int]


class Taught(NamedTuple):
    """The model that was taught.

    Attributes
    ----------
    folder : Path
        For `narrative.model` of the settings.
    loss : float
        Mean of the last epoch.
    pairs, left_out : int
        Learned from, and too long.
    written : Written or None
        Of what was kept back; None without any.
    """

    folder: Path
    loss: float
    pairs: int
    left_out: int = 0
    written: Written | None = None


def lesson(pair: Pair, tokenizer: Any) -> Lesson:
    """Return a pair as tokens, the prompt as `ask_model` asks it; only completion and end are learned.

    Raises WriterError where the chat template or the tokenizer fail.
    """
    prompt = tokens_of(tokenizer, [pair.prompt])["input_ids"][0].tolist()
    # A chat template ends where an answer begins; without one a space parts the text from the prompt.
    lead = "" if getattr(tokenizer, "chat_template", None) else " "
    completion = tokenizer(f"{lead}{pair.completion}", add_special_tokens=False)["input_ids"]
    completion = [*completion, tokenizer.eos_token_id]
    return Lesson([*prompt, *completion], [*[IGNORED] * len(prompt), *completion])


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

    Goes on from `out`/checkpoint.pt where there is one of the same recipe, pairs and base; `out`/log.csv
    gets a line per epoch. Raises ModelError or UsageError for a folder without a model, a model that reads
    fewer tokens than every pair has, a tokenizer that is not the model's, a device that is not there, or a
    learning rate or loss that is no number.
    """
    recipe, out = recipe or NarrativeRecipe(), Path(out)
    if not abs(recipe.learning_rate) <= _LARGEST_RATE:
        raise UsageError(f"--learning-rate {recipe.learning_rate}: give a number, such as 2e-5")
    if Path(base).resolve() == (out / MODEL).resolve():
        raise UsageError(f"{out}: the taught model would be written over {base}; give another folder")
    torch.manual_seed(recipe.seed)
    with _no_bars():
        model, tokenizer = load_folder(base)
    kept, facts = keep_back(pairs, recipe.checked)
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{base}: its tokenizer has no token that ends a text (eos_token); name one there")
    try:
        lessons = [lesson(pair, tokenizer) for pair in kept]
    except WriterError as error:
        raise ModelError(f"{base}: {error}") from error
    _refuse_unknown_tokens(lessons, model, tokenizer, str(base))
    fit = _fitting(kept, lessons, model, recipe, str(base))
    try:
        model = _with_lora(model, recipe.lora_rank).to(device)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"--device {device}: nothing can be taught there ({reason}); take another"
        ) from error
    with writing(out), _no_bars():
        out.mkdir(parents=True, exist_ok=True)
        teacher = _Teacher(model, fit, recipe, out, pad=_pad(tokenizer), taught=_fingerprint(base, kept))
        teacher.facts, teacher.tokenizer = facts, tokenizer
        loss = teacher.teach()
        whole = model.merge_and_unload() if recipe.lora_rank else model
        whole.to("cpu").eval().save_pretrained(out / MODEL)
        tokenizer.save_pretrained(out / MODEL)
    return Taught(out / MODEL, loss, len(fit), len(lessons) - len(fit), teacher.written)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Let transformers draw no bars of what it loads and writes."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def _fingerprint(base: str | Path, pairs: Sequence[Pair]) -> str:
    """Return what tells one base model and its pairs from others: of files their heads and sizes.

    Not of the lessons, for a chat template may write the date into each.
    """
    found = hashlib.sha256(repr([pair[:2] for pair in pairs]).encode())
    for path in sorted(path for path in Path(base).iterdir() if path.suffix in _MODEL_FILES):
        with path.open("rb") as file:
            found.update(f"{path.name} {path.stat().st_size}".encode() + file.read(_HEAD_BYTES))
    return found.hexdigest()


def _fitting(
    pairs: Sequence[Pair], lessons: Sequence[Lesson], model: Any, recipe: NarrativeRecipe, base: str
) -> list[Lesson]:
    """Return the lessons that are short enough and say which are not; raises ModelError where none is."""
    limits = [limit for limit in (recipe.most_tokens, room_of(model)) if limit]
    lengths = [len(each.tokens) for each in lessons]
    room = min(limits, default=max(lengths))
    fits = [length <= room for length in lengths]
    own = room == recipe.most_tokens
    if not any(fits):
        whose = "most_tokens" if own else "what the model reads"
        way = "allow more" if own else "take another model, or tiles in place of slides"
        raise ModelError(
            f"{base}: every pair is longer than the {room} tokens of {whose} (the shortest has "
            f"{min(lengths)}); {way}"
        )
    if not all(fits):
        limit = f"{room:,} tokens of --most-tokens" if own else f"{room:,} tokens that {base} reads"
        say_now(
            f"warning: {fits.count(False)} of {len(fits)} pairs are longer than the {limit} (up to "
            f"{max(lengths):,}) and left out: {_untold(pairs, fits)}"
        )
    return [each for each, fit in zip(lessons, fits, strict=True) if fit]


def _untold(pairs: Sequence[Pair], fits: Sequence[bool]) -> str:
    """Return of how many slides, patches and bare prompts no pair is left."""
    left = {"slides": {}, "patches": {}, "prompts": {}}
    for pair, fit in zip(pairs, fits, strict=True):
        kind = "prompts" if pair.facts is None else "slides" if pair.facts.kind is SLIDE else "patches"
        left[kind][pair.prompt] = fit or left[kind].get(pair.prompt, False)
    lost = {kind: list(told.values()).count(False) for kind, told in left.items() if told}
    return "no pair is left of " + ", ".join(f"{n} of {len(left[kind])} {kind}" for kind, n in lost.items())


def _refuse_unknown_tokens(lessons: Sequence[Lesson], model: Any, tokenizer: Any, base: str) -> None:
    """Raise ModelError for a token that the model has no weights of."""
    known = model.get_input_embeddings().weight.shape[0]
    largest = max(_pad(tokenizer), *(max(each.tokens) for each in lessons))
    if largest >= known:
        raise ModelError(
            f"{base}: its tokenizer gives token {largest} of {len(tokenizer)}, the model knows {known}; take "
            "the tokenizer that belongs to these weights"
        )


def _with_lora(model: Any, rank: int) -> Any:
    """Return a model of which low-rank additions are learned, the same where the rank is 0."""
    if not rank:
        return model
    widest = max(min(part.weight.shape) for part in model.modules() if isinstance(part, nn.Linear))
    if rank > widest:
        raise UsageError(f"--lora {rank}: the widest matrix of the model has rank {widest}; 16 is usual")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError("LoRA needs peft: pip install 'histome[lora]'") from error
    about = {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for an old name
        return get_peft_model(model, LoraConfig(**about))


def _pad(tokenizer: Any) -> int:
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


class _Learned:
    """The weights of a model that are learned, as a checkpoint holds them: of LoRA no others."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        """The weights that are learned."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def load_state_dict(self, state: Any, /) -> Any:
        """Take them up; the others stay. Raises KeyError where they are not these."""
        if differing := state.keys() ^ self.state_dict().keys():
            raise KeyError(
                f"{len(differing)} weights, such as {min(differing)}, are not those that are learned"
            )
        return self.model.load_state_dict(state, strict=False)


class _Teacher(Trainer):
    """Trains the model; the learning rate falls to 0 over the run."""

    clip_norm = 1.0
    facts: Sequence[Facts] = ()
    tokenizer: Any = None

    def __init__(
        self,
        model: Any,
        lessons: Sequence[Lesson],
        recipe: NarrativeRecipe,
        out: Path,
        *,
        pad: int,
        taught: str = "",
    ) -> None:
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        settings = {"recipe": asdict(recipe), "lessons": len(lessons), "taught": taught}
        super().__init__(model, optimizer, out, device=str(model.device), settings=settings)
        self.lessons, self.recipe, self.out, self.pad = lessons, recipe, out, pad
        self.per_epoch = math.ceil(len(lessons) / recipe.batch)
        self.total = self.per_epoch * recipe.epochs

    @property
    def parts(self) -> dict[str, Stateful]:
        """What has a state."""
        return {"net": _Learned(self.net), "optimizer": self.optimizer}

    def numbers(self) -> dict[str, Any]:
        """The step, the losses so far, and what the verifier last said."""
        said = self.written and [self.written.asked, list(self.written.tally), list(self.written.silent)]
        return super().numbers() | {"losses": self.losses, "written": said, "unread": self.unread}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take up the step, the losses and what the verifier said."""
        super().restore(numbers)
        said = numbers.get("written")
        self.written = said and Written(said[0], Tally(*said[1]), tuple(said[2]))
        self.losses: list[float] = list(numbers.get("losses", ()))
        self.unread: bool = numbers.get("unread", False)  # it learned more since a text of it was verified

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
            self._refuse_speechless()
            return {"loss": round(self._mean(), 5)} | self._checked()

        often, log = self.recipe.save_every, self.out / "log.csv"
        every = self.per_epoch
        if self.unread:  # an epoch was finished, and the run was stopped in its check
            log_row(log, {"step": self.step, "seconds": 0} | evaluate())
            self.save()
        run(self, self._batches(), self.total, every=every, evaluate=evaluate, save_every=often, log=log)
        self._refuse_speechless()
        return self._mean()

    def _refuse_speechless(self) -> None:
        """Raise UsageError where the weights are no numbers, or too large for any answer."""
        refuse_lost(self.net, self.out, self.step)
        batch = collate(self.lessons[:1], self.pad)
        with torch.no_grad():
            loss = self.net(**{name: part.to(self.device) for name, part in batch.items()}).loss
        if not loss.isfinite():
            raise UsageError(
                f"{self.out}: the loss is {loss.item()} after step {self.step}; take a smaller learning rate"
            )

    def _checked(self) -> dict[str, float]:
        """Shares of what the model writes of the facts kept back, by the verifier; NaN of no sentence."""
        if not self.facts:
            return {}
        self.unread = True
        self.save()  # texts take their time: what was learned is kept before
        say_now(f"what it writes of {len(self.facts)} is verified")
        longest = max(len(each.labels) - each.labels.count(IGNORED) for each in self.lessons)
        self.written = verified_texts(self.net, self.tokenizer, self.facts, max_tokens=2 * longest)
        self.unread = False
        tally = self.written.tally
        n = tally.sentences or math.nan
        shares = {name: round(part / n, 4) for name, part in zip(tally._fields, tally, strict=True)}
        return shares | {"sentences": tally.sentences, "no_text": len(self.written.silent)}

    def _mean(self) -> float:
        last = self.losses[-self.per_epoch :]
        return sum(last) / max(1, len(last))
