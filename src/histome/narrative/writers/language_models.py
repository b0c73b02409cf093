"""Language models as writers: a folder on this machine, or an OpenAI-compatible endpoint.

Both get the prompt of SegTME-UNI2 (arXiv:2606.17702) and, where sentences failed, what failed and why; no
picture, no name of a slide.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histome.errors import ModelError, UsageError
from histome.narrative.facts import Facts

_CASTS = {"float32": "float", "bfloat16": "bfloat16", "float16": "half"}  # methods of a model


class WriterError(Exception):
    """A language model that gave no text; the message says why in a few words."""


class CutText(str):
    """A text that ended where as much was written as was asked for: its last sentence may be half of one."""


def prompt_of(facts: Facts) -> str:
    """Return the prompt for a slide or patch, to the letter of the published one."""
    return (
        f"TME features: {facts.values}\nPhenotype labels: {facts.labels}\n"
        f"Biological tokens: {list(facts.tokens)}\nNarrative:"
    )


def ask_model(model: Any, tokenizer: Any, turns: Sequence[str], *, max_tokens: int = 600) -> str:
    """Return what a loaded model writes, word by likeliest word; a chat template of the tokenizer is used.

    `turns` are the prompt and then, in turn, what the model wrote and what it is answered. Nothing here has a
    time: a template may loop for ever (see `model_process`).

    Raises WriterError where the prompt is longer than the model reads, and where template or model fail.
    """
    return text_of(model, tokenizer, tokens_of(tokenizer, turns), max_tokens=max_tokens)


def text_of(model: Any, tokenizer: Any, tokens: Any, *, max_tokens: int) -> str:
    """Return what a loaded model writes after these tokens; raises WriterError as `ask_model`."""
    length = tokens["input_ids"].shape[1]
    room = room_of(model) or length + max_tokens
    if length >= room:
        raise WriterError(f"the prompt has {length} tokens, the model reads {room}")
    end = tokenizer.eos_token_id
    try:
        out = model.generate(
            input_ids=tokens["input_ids"].to(model.device),
            attention_mask=tokens["attention_mask"].to(model.device),
            max_new_tokens=min(max_tokens, room - length),
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end,
            return_dict_in_generate=False,
        )
        return tokenizer.decode(out[0, length:], skip_special_tokens=True).strip()
    except Exception as error:  # whatever a folder's settings make it do
        raise WriterError(f"the language model failed ({type(error).__name__})") from error


def room_of(model: Any) -> int | None:
    """Return how many tokens a model reads at most; None where its configuration does not say."""
    return getattr(model.config, "max_position_embeddings", None) or getattr(
        model.config, "n_positions", None
    )


def tokens_of(tokenizer: Any, turns: Sequence[str]) -> Any:
    """Return the tokens of a conversation: by the chat template, else one turn after another.

    Raises WriterError where template or tokenizer fail: the first is a program of the folder's.
    """
    try:
        if not getattr(tokenizer, "chat_template", None):
            return tokenizer("\n".join(turns), return_tensors="pt")
        text = tokenizer.apply_chat_template(messages(turns), tokenize=False, add_generation_prompt=True)
        return tokenizer(text, return_tensors="pt", add_special_tokens=False)
    except Exception as error:
        raise WriterError(f"the chat template or tokenizer failed ({type(error).__name__})") from error


def messages(turns: Sequence[str]) -> list[dict[str, str]]:
    """Return the turns of a conversation, the user's first, as chat messages."""
    return [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(turns)]


def check_folder(folder: str | Path) -> None:
    """Raise ModelError where a folder has no language model."""
    if not (Path(folder) / "config.json").is_file() or not list(Path(folder).glob("*.safetensors")):
        raise ModelError(
            f"{folder}: no language model here; give a folder with config.json, a tokenizer and *.safetensors"
        )


@contextmanager
def _silent() -> Iterator[None]:
    """Let transformers print no tables of what it loads."""
    from transformers.utils import logging as told

    before = told.get_verbosity()
    told.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        told.set_verbosity(before)


def load_folder(folder: str | Path, *, device: str = "cpu", dtype: str = "float32") -> tuple[Any, Any]:
    """Return (model, tokenizer) of a folder: config.json, tokenizer and weights as safetensors.

    Nothing is downloaded, no code of the folder is run. Raises ModelError where there is no language model in
    the folder, or it cannot be loaded or run on the device; UsageError without the `train` extra.
    """
    check_folder(folder)
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise UsageError("a local language model needs transformers: pip install 'histome[train]'") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with _silent():
            found: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused here, in one line
            )
    except Exception as error:  # settings, tokenizer and weights of others fail in ways of their own
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: the language model cannot be loaded ({reason})") from error
    model, loaded = found
    if missing := sorted(loaded["missing_keys"]):
        what = f"{len(missing)} tensors are missing, such as {missing[0]}"
        raise ModelError(f"{folder}: the weights do not match config.json ({what})")
    if other := sorted(loaded["mismatched_keys"]):
        name, has, asked = other[0]
        shapes = [" x ".join(map(str, shape)) for shape in (has, asked)]
        what = f"{len(other)} tensors differ, such as {name}: {shapes[0]}, config.json says {shapes[1]}"
        raise ModelError(f"{folder}: the weights do not match config.json ({what})")
    try:
        return getattr(model, _CASTS[dtype])().eval().to(device), tokenizer
    except (RuntimeError, AssertionError) as error:  # no such device, or no room there
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: the language model cannot run on {device!r} ({reason})") from error
