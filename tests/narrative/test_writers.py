"""Who writes, and what happens to a language model's text that is empty, false or cannot be had."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, get_args

import pytest
from helpers.given_facts import CARDS, example, metrics

from histome.config import NarrativeConfig, WriterName
from histome.errors import ModelError, UsageError
from histome.narrative.facts import Facts
from histome.narrative.sentences import Narrative
from histome.narrative.writers.language_models import API_KEY, WriterError, ask_endpoint, prompt_of
from histome.narrative.writers.table import WRITERS
from histome.narrative.writers.verified import write

EXAMPLE = Facts.of_patch(example())
TRUE = "Inflammatory cells make up 69.6 %. The patch is immune hot."
OPENAI = NarrativeConfig(writer="openai", model="m", endpoint="http://localhost:1/v1", timeout_s=5.0)


@contextmanager
def endpoint(reply: str | bytes, status: int = 200, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """A server on this machine that answers every question alike and keeps what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply if isinstance(reply, bytes) else answer(reply))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(text: str | None) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def asked_of(url: str, **changes: Any) -> NarrativeConfig:
    return OPENAI.model_copy(update={"endpoint": url, **changes})


def test_the_prompt_is_that_of_the_paper() -> None:
    facts = {"raw_data": {"a": 1}, "interpretation": {"b": "c"}, "generated_tokens": ["d"]}
    assert prompt_of(Facts.from_json(facts)) == (
        "TME features: {'a': 1}\nPhenotype labels: {'b': 'c'}\nBiological tokens: ['d']\nNarrative:"
    )


def test_grounded_is_the_default_and_always_the_same() -> None:
    first, second = write(EXAMPLE), write(EXAMPLE)
    assert first == second
    assert (first.asked, first.writer, first.note, first.hallucination_rate) == (
        "grounded",
        "grounded",
        "",
        0.0,
    )


def test_a_true_text_of_an_endpoint_stands_with_its_sources() -> None:
    with endpoint(TRUE) as (url, asked):
        found = write(EXAMPLE, asked_of(url))
    assert found.writer == "openai"
    assert found.text.startswith(TRUE)
    assert found.sentences[0].sources[0].name == "raw_data.ratio_Inflammatory"
    assert found.sentences[0].sources[0].value == pytest.approx(3133 / 4501)
    assert (found.claims, found.unsupported) == (2, 0)
    path, _, body = asked[0]
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": prompt_of(EXAMPLE)}]


def test_doubts_are_added_to_a_language_models_text() -> None:
    facts = replace(Facts.of_slide(metrics(), {}), models=CARDS)
    with endpoint("Lymphocytes make up 37.5 % of the cells.") as (url, _):
        found = write(facts, asked_of(url))
    assert found.writer == "openai"
    assert "Plasma cells were learned without labels" in found.text
    assert "added by the grounded writer" in found.note


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "it wrote nothing"),
        ("Inflammatory cells make up 96.9 %.", "it claimed '96.9 %'"),
        ("The patch is immune cold.", "'immune cold' (phenotype"),
        ("It is what it is.", "no sentence of it can be kept"),
        (b"<html>", "not that of an OpenAI-compatible server"),
        (b'{"choices": []}', "not that of an OpenAI-compatible server"),
        (answer(None), "it wrote nothing"),
    ],
)
def test_otherwise_the_grounded_text_stands_and_says_so(reply: str | bytes, reason: str) -> None:
    with endpoint(reply) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert (found.asked, found.writer) == ("openai", "grounded")
    assert found.sentences == write(EXAMPLE).sentences
    assert reason in found.note
    assert "This is the grounded text." in found.note


def test_an_invented_number_is_counted_and_listed() -> None:
    with endpoint(f"{TRUE} Dead cells make up 40 %.") as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert (found.claims, found.unsupported, found.hallucination_rate) == (3, 1, pytest.approx(1 / 3))
    assert [dropped.text for dropped in found.dropped] == ["Dead cells make up 40 %."]


def test_sentences_can_be_dropped_instead() -> None:
    with endpoint(f"{TRUE} Dead cells make up 40 %. It is calm.") as (url, _):
        found = write(EXAMPLE, asked_of(url, on_unsupported="drop"))
    assert found.writer == "openai"
    assert "40 %" not in found.text
    assert [dropped.reason for dropped in found.dropped] == [
        "'40 %' (number: no value is this number)",
        "nothing in it can be checked",
    ]


def test_an_endpoint_that_is_not_there() -> None:
    found = write(EXAMPLE, OPENAI)
    assert found.writer == "grounded"
    assert "cannot be reached" in found.note


def test_an_endpoint_that_fails() -> None:
    with endpoint("no", status=503) as (url, _):
        assert "answered 503" in write(EXAMPLE, asked_of(url)).note


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(API_KEY, "sesame")
    caplog.set_level("DEBUG")
    with (
        endpoint("elsewhere") as (other, seen),
        endpoint("no", status=302, Location=f"{other}/x") as (url, asked),
    ):
        found = write(EXAMPLE, asked_of(url))
    assert asked[0][1]["Authorization"] == "Bearer sesame"
    assert seen == []
    assert found.writer == "grounded"
    assert "sesame" not in caplog.text + json.dumps(found.to_json())


def test_wrong_settings_are_told() -> None:
    for config, match in (
        (NarrativeConfig(writer="openai"), "narrative.model"),
        (NarrativeConfig(writer="openai", model="m"), "narrative.endpoint"),
        (NarrativeConfig(writer="transformers"), "a model's folder"),
        (OPENAI.model_copy(update={"endpoint": "file:///etc/passwd"}), "give an address"),
    ):
        with pytest.raises(UsageError, match=match):
            write(EXAMPLE, config)


def test_a_folder_without_a_model_is_told(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match="no language model here"):
        write(EXAMPLE, NarrativeConfig(writer="transformers", model=str(tmp_path)))


def test_slow_endpoints_are_not_waited_for() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.server_address[1]}/v1"
        with pytest.raises(WriterError, match="cannot be reached"):
            ask_endpoint("p", url, "m", timeout_s=0.2)


def test_json_and_back() -> None:
    found = write(EXAMPLE)
    assert Narrative.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_writer_of_the_settings_is_in_the_table() -> None:
    assert tuple(WRITERS) == get_args(WriterName)
