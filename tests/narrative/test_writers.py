"""Who writes, and what happens to a language model's text that is empty, false, hostile or cannot be had."""

import json
import socket
import ssl
import time
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any, get_args

import pytest
from helpers.drawn_profiles import facts_of
from helpers.given_facts import example
from helpers.hostile_endpoint import HOSTILE, answer, replies, served

from histome.config import NarrativeConfig, WriterName
from histome.errors import UsageError
from histome.narrative.facts import Facts
from histome.narrative.sentences import Narrative
from histome.narrative.writers.endpoint import API_KEY
from histome.narrative.writers.language_models import prompt_of
from histome.narrative.writers.table import WRITERS
from histome.narrative.writers.verified import write

EXAMPLE = Facts.of_patch(example())
TRUE = "Inflammatory cells make up 69.6 % of the cells. The patch is immune hot. The patch is stroma-free."
OF_A = "Lymphocytes make up 25 % of the cells. The tumor is immune-inflamed. The tumor is stroma-rich."
FALSE = "Dead cells make up 40 % of the cells."
OPENAI = NarrativeConfig(writer="openai", model="m", endpoint="http://localhost:1/v1", timeout_s=5.0)


def asked_of(url: str, **changes: Any) -> NarrativeConfig:
    return OPENAI.model_copy(update={"endpoint": url, **changes})


def test_the_prompt_is_the_published_one() -> None:
    facts = {"raw_data": {"a": 1}, "interpretation": {"b": "c"}, "generated_tokens": ["d"]}
    assert prompt_of(Facts.from_json(facts)) == (
        "TME features: {'a': 1}\nPhenotype labels: {'b': 'c'}\nBiological tokens: ['d']\nNarrative:"
    )


def test_grounded_is_the_default_and_always_the_same() -> None:
    first, second = write(EXAMPLE), write(EXAMPLE)
    assert first == second
    assert (first.asked, first.writer, first.note) == ("grounded", "grounded", "")
    assert (first.supported, first.hallucination_rate) == (len(first.sentences), 0.0)


def test_a_true_text_of_an_endpoint_stands_with_its_sources() -> None:
    with served(replies(TRUE)) as (url, asked):
        found = write(EXAMPLE, asked_of(url, max_tokens=321))
    assert found.writer == "openai"
    assert found.text.startswith(TRUE)
    assert found.sentences[0].sources[0].name == "raw_data.ratio_Inflammatory"
    assert found.sentences[0].sources[0].value == pytest.approx(3133 / 4501)
    assert (found.supported, found.contradicted, found.not_checkable) == (3, 0, 0)
    ((path, _, body),) = asked
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": prompt_of(EXAMPLE)}]
    assert body["max_tokens"] == 321


@pytest.mark.parametrize(
    ("facts", "sentence", "path"),
    [
        (EXAMPLE, "The patch is immune hot.", "raw_data.ratio_Inflammatory"),
        (EXAMPLE, "Tumor purity is low.", "raw_data.ratio_Neoplastic"),
        (EXAMPLE, "The patch is stroma-free.", None),
        (EXAMPLE, "It is immune-dominant.", None),
        (facts_of("A"), "The tumor is immune-inflamed.", "IMMUNE_INFLAMED_SHARE"),
        (facts_of("A"), "The tumor is stroma-rich.", "TUMOR_STROMA_RATIO"),
    ],
)
def test_what_rests_on_a_label_names_it_and_its_value(facts: Facts, sentence: str, path: str | None) -> None:
    with served(replies(f"{sentence} {TRUE} {OF_A}")) as (url, _):
        found = write(facts, asked_of(url))
    (sources,) = (one.sources for one in found.sentences if one.text == sentence)
    assert sources[0].name.startswith(("interpretation.", "generated_tokens"))
    assert all(source.value is not None for source in sources)
    assert path is None or path in [source.name for source in sources]


def test_doubts_are_added_to_a_language_models_text() -> None:
    facts = replace(facts_of("A"), values={**facts_of("A").values, "RELATIVE_AREA_VALID_TISSUE": 40.0})
    with served(replies(OF_A)) as (url, _):
        found = write(facts, asked_of(url))
    assert found.writer == "openai"
    assert "of the tissue passed quality control" in found.text
    assert "added by the grounded writer" in found.note


def test_one_false_sentence_goes_and_the_rest_stays() -> None:
    with served(replies(f"{TRUE} {FALSE} Neoplastic cells are radioresistant.")) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert found.writer == "openai"
    assert found.text.startswith(TRUE)
    assert "40 %" not in found.text
    assert (found.supported, found.contradicted, found.not_checkable) == (3, 1, 1)
    assert found.hallucination_rate == pytest.approx(0.4)
    assert [dropped.text for dropped in found.dropped] == [FALSE, "Neoplastic cells are radioresistant."]
    assert found.dropped[0].reason.startswith("contradicted: ")
    assert "refused" in found.dropped[1].reason


def test_a_whole_text_can_be_refused_instead() -> None:
    with served(replies(f"{TRUE} {FALSE}")) as (url, _):
        found = write(EXAMPLE, asked_of(url, on_unsupported="refuse"))
    assert (found.asked, found.writer) == ("openai", "grounded")
    assert found.sentences == write(EXAMPLE).sentences
    assert FALSE in found.note
    with served(replies(f"{TRUE} It is calm.")) as (url, _):
        assert write(EXAMPLE, asked_of(url, on_unsupported="refuse")).writer == "openai"


def test_a_model_is_told_once_what_failed_and_why() -> None:
    with served(replies(f"{TRUE} {FALSE}", f"{TRUE} Dead cells make up 0.16 % of the cells.")) as (
        url,
        asked,
    ):
        found = write(EXAMPLE, asked_of(url))
    assert (found.supported, found.contradicted) == (4, 0)
    assert len(asked) == 2
    roles = [message["role"] for message in asked[1][2]["messages"]]
    assert roles == ["user", "assistant", "user"]
    told = asked[1][2]["messages"][-1]["content"]
    assert FALSE in told
    assert "contradicted (the facts say otherwise" in told


def test_a_worse_second_text_is_not_taken() -> None:
    for second in ("Nothing.", b"<html>"):
        with served(replies(f"{TRUE} {FALSE}", second)) as (url, _):
            assert write(EXAMPLE, asked_of(url)).text.startswith(TRUE)


def test_a_model_that_need_not_be_told_is_not_asked_again() -> None:
    with served(replies(FALSE)) as (url, asked):
        write(EXAMPLE, asked_of(url, retry=False))
    assert len(asked) == 1


@pytest.mark.parametrize(("text", "held"), [("The patch is immune hot.", 1), ("It is calm.", 0)])
def test_of_a_text_with_less_than_three_true_sentences_the_grounded_one_is_taken(
    text: str, held: int
) -> None:
    with served(replies(f"{text} {FALSE}")) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert (found.asked, found.writer) == ("openai", "grounded")
    assert found.sentences == write(EXAMPLE).sentences
    assert f"is not shown: {held} of 2 sentences of it held, 3 are asked for. This is the" in found.note
    assert FALSE in [dropped.text for dropped in found.dropped]


def test_habits_of_models_cost_no_sentence() -> None:
    first, second, third = TRUE.removesuffix(".").split(". ")
    text = f"Sure! Here is the narrative:\n\n# Summary\n1. **{first}.**\n2. {second}. {third.lower()}."
    with served(replies(f"<think>{FALSE}</think>{text}")) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert found.text.startswith(TRUE)
    assert (found.supported, found.dropped, found.hallucination_rate) == (3, (), 0.0)


@pytest.mark.parametrize(
    "text", ["The.", "Overall.", "A cell density of 1e400 per mm².", "There are 2e309 cells."]
)
def test_odd_sentences_cost_themselves_alone(text: str) -> None:
    with served(replies(f"{TRUE} {text}")) as (url, _):
        found = write(EXAMPLE, asked_of(url, retry=False))
    assert (found.writer, found.supported, found.contradicted) == ("openai", 3, 0)


@pytest.mark.parametrize(
    ("key", "reason"), [("ключ", "characters that no header can carry"), ("a\tb", "no header")]
)
def test_a_key_that_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch, key: str, reason: str) -> None:
    monkeypatch.setenv(API_KEY, key)
    assert reason in write(EXAMPLE, OPENAI).note


@pytest.mark.parametrize("address", ["http://[::1/v1", "http://localhost/gööd", f"http://{'a' * 80}.x/v1"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    assert "address is not valid" in write(EXAMPLE, OPENAI.model_copy(update={"endpoint": address})).note


def test_the_same_sentence_again_is_said_once() -> None:
    with served(replies(f"{TRUE} " * 100)) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert found.supported == 3


@pytest.mark.parametrize("how", list(HOSTILE))
def test_a_hostile_endpoint_gives_the_grounded_text_with_a_reason(how: str) -> None:
    started = time.monotonic()
    with served(HOSTILE[how]) as (url, _):
        found = write(EXAMPLE, asked_of(url, timeout_s=1.0))
    assert time.monotonic() - started < 10  # a drip, if it were waited for, lasts 30 s
    assert (found.asked, found.writer) == ("openai", "grounded")
    assert found.sentences == write(EXAMPLE).sentences
    assert "is not shown: " in found.note
    assert len(found.note) < 1500
    json.dumps(found.to_json()).encode("utf-8")
    found.text.encode("utf-8")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("slow body", "no whole answer in 1 s"),
        ("slow headers", "no whole answer in 1 s"),
        ("500", "answered 500"),
        ("redirect", "answered 302 for the model 'm': redirects are not followed, give the final address. "),
        ("redirect to itself", "answered 307 for the model 'm': redirects are not followed"),
        ("401", "answered 401 for the model 'm': it refuses access, and HISTOME_API_KEY is not set. "),
        ("429", "answered 429 for the model 'm': it limits requests, try again later. "),
        ("5 MB", "larger than"),
        ("500 kB", "characters"),
        ("nested JSON", "not that of an OpenAI-compatible server"),
        ("only thoughts", "it was still thinking where its text ends, as a rule at max_tokens: raise narr"),
        ("cut before a sentence", "no sentence before max_tokens was reached: raise narrative.max_tokens"),
        ("nothing", "it wrote no sentence. "),
        ("parts without a text", "it wrote no sentence. "),
        ("loop", "characters"),
        ("short loop", "0 of 1 sentences of it held"),
        ("no HTTP", "not in HTTP that can be read: it does not begin as HTTP does"),
        ("many headers", "answered, but not in HTTP that can be read: got more than 100 headers"),
        ("long header", "not in HTTP that can be read: got more than 65536 bytes"),
        ("no chunk", "not in HTTP that can be read: its end is missing, or a piece of it has no length"),
        ("endless chunk", "larger than 1000000 bytes"),
        ("no address", "answered 302"),
        ("cut off", "the endpoint's answer was cut off: 99 bytes of it are missing"),
        ("slow 404", "no whole answer in 1 s"),
        ("5 MB of 404", "answered 404 for the model 'm'. "),
        ("hung up", "closed the connection without an answer"),
    ],
)
def test_the_reason_is_the_right_one(monkeypatch: pytest.MonkeyPatch, how: str, reason: str) -> None:
    monkeypatch.delenv(API_KEY, raising=False)
    with served(HOSTILE[how]) as (url, _):
        assert reason in write(EXAMPLE, asked_of(url, timeout_s=1.0)).note


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "No model `m`.\nTry another.", "code": None}}, "No model `m`. This is"),
        ({"error": "model 'm' not found"}, "model 'm' not found"),
        ({"object": "error", "message": "The prompt has 9 \x1b[31mtokens"}, "The prompt has 9 [31mtokens"),
        ({"detail": "Not Found " * 100}, ("Not Found " * 20)[:199] + ". This is the grounded"),
        ({"detail": [{"msg": "no"}]}, ""),
        ({"error": {"message": None}}, ""),
        ([], ""),
        ({"error": {"message": "Incorrect API key: se****me"}}, ""),
        ({"error": "no model at http://me:pass@host/v1"}, ""),
        ({"error": "no model for OPEN-SES"}, ""),
    ],
)
def test_what_an_endpoint_says_of_an_error(monkeypatch: pytest.MonkeyPatch, body: object, told: str) -> None:
    monkeypatch.setenv(API_KEY, "open-sesame")
    with served(replies(json.dumps(body).encode(), status=404)) as (url, _):
        note = write(EXAMPLE, asked_of(url)).note
    assert f"the endpoint answered 404 for the model 'm'{': ' if told else '. '}{told}" in note
    assert "\x1b" not in note


def test_an_endpoint_that_is_not_there() -> None:
    found = write(EXAMPLE, OPENAI)
    assert found.writer == "grounded"
    assert "cannot be reached: connection refused. " in found.note


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the name of the host is not known"),
        (ssl.SSLCertVerificationError(1, "self-signed"), "the certificate is not accepted"),
        (OSError(101, "Network is unreachable"), "OSError"),
        (TimeoutError(), None),
    ],
)
def test_why_an_endpoint_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str | None
) -> None:
    def connect(connection: HTTPConnection) -> None:
        raise error

    monkeypatch.setattr(HTTPConnection, "connect", connect)
    told = f"the endpoint cannot be reached: {reason}. " if reason else "no whole answer in 5 s. "
    assert told in write(EXAMPLE, OPENAI).note


def test_a_server_without_tls_is_told() -> None:
    with served(replies(TRUE)) as (url, _):
        found = write(EXAMPLE, asked_of(url.replace("http:", "https:")))
    assert "cannot be reached: it does not speak TLS as an https address does. " in found.note


def test_a_text_in_parts_is_joined() -> None:
    parts = [
        {"type": "thinking", "thinking": FALSE, "text": FALSE},
        {"type": "text", "text": TRUE[:40]},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": TRUE[40:]},
    ]
    with served(replies(answer(parts))) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert found.text.startswith(TRUE)
    assert (found.supported, found.dropped) == (3, ())


@pytest.mark.parametrize("half", ["Dead cells make up 0.", "Dead cells make up 40", "Dead cells make", FALSE])
@pytest.mark.parametrize("on_unsupported", ["drop", "refuse"])
def test_the_last_sentence_of_a_cut_text_is_left_out_and_not_called_false(
    half: str, on_unsupported: str
) -> None:
    with served(replies(answer(f"{TRUE} {half}", finish_reason="length"))) as (url, asked):
        found = write(EXAMPLE, asked_of(url, on_unsupported=on_unsupported))
    assert found.text.startswith(TRUE)
    assert (found.supported, found.contradicted, found.not_checkable) == (3, 0, 1)
    assert found.dropped == ((half, "not checkable: the text was cut here, at max_tokens"),)
    assert "(the text was cut here, at max_tokens)" in asked[1][2]["messages"][-1]["content"]


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(API_KEY, "sesame")
    caplog.set_level("DEBUG")
    repeats = replies(b'{"error": {"message": "not for sesame"}}', status=403)
    with served(repeats) as (url, _):
        refused = write(EXAMPLE, asked_of(url))
    with (
        served(replies("elsewhere")) as (other, seen),
        served(replies("no", status=302, Location=f"{other}/x")) as (url, asked),
    ):
        found = write(EXAMPLE, asked_of(url))
    assert asked[0][1]["Authorization"] == "Bearer sesame"
    assert seen == []
    assert found.writer == "grounded"
    assert "sesame" not in caplog.text + json.dumps([found.to_json(), refused.to_json()])


KEY = 'a-se"same/9'


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(sign):04X}" for sign in text)


@pytest.mark.parametrize(
    "told",
    [
        f"The key is {KEY}.",
        f"The key is {KEY}.".upper(),
        "The key is a-se%22same%2F9 and %61%2d%73%65%22%73%61%6d%65%2f%39.",
        f"The answer of {KEY}{KEY}.",
        json.dumps({"key": KEY}),
        f'{{"key": "{escaped(KEY)}"}}',
        '{"key": "a-se\\"same\\/9"}',
    ],
)
@pytest.mark.parametrize("good", [TRUE, ""])
def test_a_key_in_an_answer_is_masked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: str, good: str
) -> None:
    monkeypatch.setenv(API_KEY, KEY)
    caplog.set_level("DEBUG")
    parts = [{"type": "text", "text": piece} for piece in (good, " ", told[:13], told[13:])]
    raw = answer(f"{good} {told}")
    every = raw.replace(b"same", b"\\u0073ame").replace(b"key", escaped("key").encode())
    for body in (raw, every, answer(parts), answer(f"{good} {told}", finish_reason="length")):
        with served(replies(body)) as (url, asked):
            found = write(EXAMPLE, asked_of(url))
        shown = json.dumps([found.to_json(), [one[2] for one in asked]]) + caplog.text
        assert found.writer == ("openai" if good else "grounded")
        assert "[masked]" in shown
        assert "same" not in shown.casefold()
        assert "%73" not in shown
        assert "u0073" not in shown


def test_a_key_of_few_letters_costs_no_other_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "ell")
    with served(replies(f"{TRUE} It is ell, (Ell).")) as (url, _):
        found = write(EXAMPLE, asked_of(url))
    assert found.supported == 3
    assert found.dropped[0].text == "It is [masked], ([masked])."


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv(API_KEY, "open-sesame")
    with served(replies(b'{"error": "Not for %6Fpen-sesame"}', status=status)) as (url, _):
        note = write(EXAMPLE, asked_of(url)).note
    told = "Not for [masked]; it refuses access with the key of HISTOME_API_KEY. "
    assert f"answered {status} for the model 'm': {told}" in note


@pytest.mark.parametrize(
    "address",
    [
        "http://me:sesame@localhost/v1",
        "http://localhost/v1?key=sesame",
        "http://localhost/v1#sesame",
        "file:///sesame",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        NarrativeConfig().updated(endpoint=address)
    with pytest.raises(ValueError, match="give an address") as raised:
        NarrativeConfig(endpoint=address)
    assert "sesame" not in f"{refused.value} {raised.value}"


def test_wrong_settings_are_told() -> None:
    for changes, match in (
        ({"writer": "openai"}, "narrative.model"),
        ({"writer": "openai", "model": "m"}, "narrative.endpoint"),
        ({"writer": "transformers"}, "narrative.model"),
    ):
        with pytest.raises(UsageError, match=match):
            NarrativeConfig().updated(**changes)


def test_json_and_back() -> None:
    found = write(EXAMPLE)
    assert Narrative.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_writer_of_the_settings_is_in_the_table() -> None:
    assert tuple(WRITERS) == get_args(WriterName)
