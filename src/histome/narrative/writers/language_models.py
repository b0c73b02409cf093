"""Language models as writers: a folder on this machine, or an OpenAI-compatible endpoint.

Both get the prompt of SegTME-UNI2 (arXiv:2606.17702) and nothing else: no picture, no name of a slide.
"""

import json
import os
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from histome.errors import ModelError, UsageError
from histome.narrative.facts import Facts

API_KEY = "HISTOME_API_KEY"
_MOST_BYTES = 1_000_000
_MOST_TOKENS = 400


class WriterError(Exception):
    """A language model that gave no text; the message says why in a few words."""


def prompt_of(facts: Facts) -> str:
    """Return the prompt for a slide or patch, to the letter of the published one."""
    return (
        f"TME features: {facts.values}\nPhenotype labels: {facts.labels}\n"
        f"Biological tokens: {list(facts.tokens)}\nNarrative:"
    )


def ask_folder(prompt: str, folder: str | Path) -> str:
    """Return what a causal language model on this machine writes after the prompt, word by likeliest word.

    Nothing is downloaded, no code of the folder is run.

    Parameters
    ----------
    folder : str or Path
        Holds config.json, tokenizer and weights as safetensors.

    Raises
    ------
    ModelError
        There is no language model in the folder, or it cannot be loaded.
    UsageError
        The `train` extra is missing.
    WriterError
        The prompt is longer than the model reads.
    """
    model, tokenizer = load_folder(folder)
    tokens = tokenizer(prompt, return_tensors="pt")
    length = tokens["input_ids"].shape[1]
    room = getattr(model.config, "max_position_embeddings", None) or length + _MOST_TOKENS
    if length >= room:
        raise WriterError(f"the prompt has {length} tokens, the model reads {room}")
    end = tokenizer.eos_token_id
    out = model.generate(
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        max_new_tokens=min(_MOST_TOKENS, room - length),
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end,
    )
    return tokenizer.decode(out[0, length:], skip_special_tokens=True).strip()


def load_folder(folder: str | Path) -> tuple[Any, Any]:
    """Return (model, tokenizer) of a folder; raises as `ask_folder` does."""
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder}: no language model here; give a folder with config.json, a tokenizer and *.safetensors"
        )
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise UsageError("a local language model needs transformers: pip install 'histome[train]'") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: the language model cannot be loaded ({reason})") from error
    return model.eval(), tokenizer


def ask_endpoint(prompt: str, endpoint: str, model: str, *, timeout_s: float = 60.0) -> str:
    """Return what an OpenAI-compatible endpoint writes.

    The key, if any, is read from the environment variable HISTOME_API_KEY and is neither logged nor sent on
    by a redirect.

    Parameters
    ----------
    endpoint : str
        Base address such as http://localhost:8000/v1; `/chat/completions` is added.

    Raises
    ------
    UsageError
        An address that is none.
    WriterError
        No answer, an error or a strange answer.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"narrative endpoint {endpoint!r}: give an address such as http://localhost:8000/v1")
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(API_KEY):
        headers["Authorization"] = f"Bearer {key}"
    request = Request(f"{endpoint.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with build_opener(_NoRedirect()).open(request, timeout=timeout_s) as reply:
            text = reply.read(_MOST_BYTES).decode("utf-8")
        content = json.loads(text)["choices"][0]["message"]["content"]
    except HTTPError as error:
        raise WriterError(f"the endpoint answered {error.code}") from error
    except (URLError, HTTPException, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise WriterError(f"the endpoint cannot be reached ({type(reason).__name__})") from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise WriterError("the endpoint's answer is not that of an OpenAI-compatible server") from error
    return content.strip() if isinstance(content, str) else ""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an error: it would carry the key to another host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Follow none."""
        return
