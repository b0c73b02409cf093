"""A language model on this machine as writer: loaded once, in silence, in its time."""

import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.given_facts import example
from helpers.tiny_language_model import write_language_model

from histome.config import NarrativeConfig
from histome.errors import ModelError
from histome.narrative.facts import Facts
from histome.narrative.writers import model_process
from histome.narrative.writers.language_models import WriterError, ask_model, load_folder, prompt_of
from histome.narrative.writers.model_process import model_asked
from histome.narrative.writers.verified import write

EXAMPLE = Facts.of_patch(example())
EXTRA = "needs the [train] extra"
PATIENT_S = 500.0  # other processes may have the machine


def asked_of(folder: Path, device: str = "cpu", timeout_s: float = PATIENT_S) -> NarrativeConfig:
    options = {"device": device, "timeout_s": timeout_s, "max_tokens": 16}
    return NarrativeConfig(writer="transformers", model=str(folder), **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason=EXTRA)
    folder = tmp_path_factory.mktemp("writer") / "model"
    return write_language_model(folder, [prompt_of(EXAMPLE)], positions=8192)


# The process as it is, with a model that says how often one was loaded; `bare` is no process of ours.
STAND_IN = """
import sys, time
from histome.narrative.writers import model_process as m
loads = []
def load_folder(*given, **options):
    print("Loading weights: 100%")
    print("a warning", file=sys.stderr)
    loads.append(1)
    return "model", "tokenizer"
def tokens_of(tokenizer, turns):
    while turns[-1] == "loop": pass
    return turns
m.load_folder, m.tokens_of = load_folder, tokens_of
m.text_of = lambda model, tokenizer, tokens, max_tokens: f"{len(loads)} {tokens} {max_tokens}"
m._ORPHAN_S = 0.5
m.main()
"""
BARE = """
import json, os, sys, time
def say(**reply): print(json.dumps(reply), flush=True)
"""


def plays(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script stand for the process of the model."""
    monkeypatch.setattr(model_process, "_CHILD", (sys.executable, "-c", script))
    monkeypatch.setattr(model_process, "check_folder", lambda folder: None)


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_model_is_loaded_once_and_what_it_prints_goes_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    plays(monkeypatch, STAND_IN)
    with model_asked(asked_of(Path("m\u00f6del"))) as ask:
        assert ask(["a"]) == "1 ['a'] 16"
        assert ask(["a", "b", "\u00e9"]) == "1 ['a', 'b', '\u00e9'] 16"
    assert tuple(capfd.readouterr()) == ("", "")
    assert caplog.text.count("language model: Loading weights: 100%") == 1
    assert "language model: a warning" in caplog.text


def test_a_text_and_its_second_one_are_of_one_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "m.text_of = lambda *given, **options: f'Dead cells make up {39 + len(loads)} % of the cells.'"
    plays(monkeypatch, STAND_IN.replace("m._ORPHAN_S", f"{told}\nm._ORPHAN_S"))
    found = write(EXAMPLE, asked_of(Path("model")))
    assert [dropped.text for dropped in found.dropped] == ["Dead cells make up 40 % of the cells."]


def test_where_the_time_was_over_is_told_and_the_process_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    plays(
        monkeypatch,
        BARE + "for _ in 'ab': sys.stdin.readline()\nsay(where='while it was loaded')\n"
        "say(text=str(os.getpid()))\ntime.sleep(600)",
    )
    with model_asked(asked_of(Path("model"), timeout_s=5)) as ask:
        process = int(ask(["a"]))
        assert not is_gone(process)
        with pytest.raises(WriterError, match="no whole text in 5 s: its time was over while it was loaded"):
            ask(["a", "b", "c"])
    assert is_gone(process)


def test_loading_is_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    plays(monkeypatch, STAND_IN.replace("loads.append(1)", "time.sleep(600)"))
    started = time.monotonic()
    found = write(EXAMPLE, asked_of(Path("model"), timeout_s=3))
    assert time.monotonic() - started < 60
    assert (found.writer, found.sentences) == ("grounded", write(EXAMPLE).sentences)
    assert "gave no whole text in 3 s: its time was over while it " in found.note


def test_a_question_that_nobody_reads_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe holds 64 kB: to write more waits."""
    plays(monkeypatch, "import time; time.sleep(600)")
    with (
        model_asked(asked_of(Path("model"), timeout_s=1)) as ask,
        pytest.raises(WriterError, match="in 1 s: its time was over while it began"),
    ):
        ask(["a" * 1_000_000])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("os.kill(os.getpid(), 9)", r"its process ended while it began \(exit code -9: .* memory is short\)"),
        ("say(where='while it wrote'); os._exit(3)", r"ended while it wrote \(exit code 3\)"),
        ("print('no JSON')", "ended while it began"),
        ("say(refused='WriterError', reason='the prompt is long')", "the prompt is long"),
        ("say(refused='ModelError', reason='the weights do not match')", "the weights do not match"),
    ],
)
def test_a_process_that_ends_is_no_end_of_the_run(
    monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    plays(monkeypatch, BARE + script)
    with model_asked(asked_of(Path("model"))) as ask, pytest.raises(Exception, match=reason) as ended:
        ask(["a"])
    assert isinstance(ended.value, ModelError | WriterError)


def test_a_process_that_cannot_be_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plays(monkeypatch, "")
    monkeypatch.setattr(model_process, "_CHILD", ("/no/such/python",))
    assert "no process can be begun for it" in write(EXAMPLE, asked_of(Path("model"))).note


def test_a_process_that_nobody_ends_ends_itself() -> None:
    lines = [json.dumps(asked_of(Path("model"), timeout_s=0.5).model_dump(mode="json")), '["loop"]']
    command = [sys.executable, "-c", STAND_IN]
    found = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True, timeout=120)
    assert found.returncode == 1
    assert "tokens_of" in found.stderr


HELPED = """
import json, subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"], start_new_session=OWN)
for _ in 'ab': sys.stdin.readline()
print(json.dumps({"text": str(helper.pid)}), flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there only the process itself is ended")
@pytest.mark.parametrize("own_session", [False, True])
def test_a_helper_that_holds_the_pipes_does_not_hold_the_run(
    monkeypatch: pytest.MonkeyPatch, own_session: bool
) -> None:
    """One of the same group ends too, with the pipes; one that left it stays, and nobody waits for it."""
    plays(monkeypatch, HELPED.replace("OWN", str(own_session)))
    monkeypatch.setattr(model_process, "_LAST_WORDS_S", 1.0 if own_session else PATIENT_S)
    with model_asked(asked_of(Path("model"))) as ask:
        helper = int(ask(["a"]))
        started = time.monotonic()
    took_s = time.monotonic() - started
    if own_session:
        os.kill(helper, signal.SIGKILL)
    assert took_s < 60


BEGUN_BY_ANOTHER = """
import signal, sys
from pathlib import Path
from histome.config import NarrativeConfig
from histome.narrative.writers import model_process as m
m._CHILD, m.check_folder = (sys.executable, "-c", sys.argv[1]), lambda folder: None
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where we were begun
with m.model_asked(NarrativeConfig(writer="transformers", model="model", timeout_s=500)) as ask:
    ask(["loop"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes and a parent that changes")
@pytest.mark.parametrize("how", [signal.SIGINT, "kill -9"])
def test_a_process_whose_run_is_ended_ends_with_it(tmp_path: Path, how: signal.Signals | str) -> None:
    os.mkfifo(tmp_path / "held")
    says = f"held = open({str(tmp_path / 'held')!r}, 'w')\nprint(os.getpid(), file=held, flush=True)\n"
    script = "import os\n" + STAND_IN.replace("def load_folder", f"{says}def load_folder")
    run = subprocess.Popen([sys.executable, "-c", BEGUN_BY_ANOTHER, script])
    with (tmp_path / "held").open("rb", buffering=0) as held:  # its end: no process has it open
        process = int(held.readline())
        try:
            assert select.select([held], [], [], 0.5)[0] == []
            run.kill() if how == "kill -9" else run.send_signal(how)
            run.wait()
            assert select.select([held], [], [], 60)[0] == [held]
            assert held.read() == b""
        except BaseException:
            os.kill(process, signal.SIGKILL)
            raise


@pytest.mark.slow
def test_a_process_has_a_thread_for_each_cpu_that_we_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason=EXTRA)
    plays(
        monkeypatch,
        BARE + "import torch\nfor _ in 'ab': sys.stdin.readline()\nsay(text=str(torch.get_num_threads()))",
    )
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # a user's own stay
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(model_process, "available_cpus", lambda: 1)
    with model_asked(asked_of(Path("model"))) as ask:
        assert ask(["a"]) == "1"


@pytest.mark.slow
def test_the_real_one_says_nothing(
    model: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with model_asked(asked_of(model)) as ask:
        assert ask(["Prompt."]) == ask_model(*load_folder(model), ["Prompt."], max_tokens=16)
        capfd.readouterr()  # of the second loading, which is here
        ask(["Prompt.", "a", "b"])
    assert tuple(capfd.readouterr()) == ("", "")
    assert "Loading weights" not in caplog.text


@pytest.mark.slow
def test_a_template_that_never_ends_is_ended(model: Path, tmp_path: Path) -> None:
    loop = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
    folder = shutil.copytree(model, tmp_path / "loop")
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": loop}))
    found = write(EXAMPLE, asked_of(folder, timeout_s=15))
    assert found.sentences == write(EXAMPLE).sentences
    assert "no whole text in 15 s: its time was over " in found.note


def test_a_folder_without_a_model_gives_the_grounded_text(tmp_path: Path) -> None:
    found = write(EXAMPLE, asked_of(tmp_path))
    assert (found.asked, found.writer) == ("transformers", "grounded")
    assert "no language model here" in found.note


@pytest.mark.slow
@pytest.mark.parametrize("weights", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"\xff" * 64])
def test_weights_that_are_none_are_told(tmp_path: Path, weights: bytes) -> None:
    pytest.importorskip("transformers", reason=EXTRA)
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": 8})
    )
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("template", "the chat template or tokenizer failed (TemplateError)"),
        ("layers", "the weights do not match config.json"),
        ("sizes", "tensors differ, such as model.embed_tokens.weight: "),
        ("heads", "cannot be loaded"),
        ("quantized", "cannot be loaded"),
        ("tokenizer", "cannot be loaded"),
        ("device", "cannot run on 'mps'"),
    ],
)
def test_a_broken_folder_is_told(
    model: Path, tmp_path: Path, broken: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")

    def edited(name: str, **changes: object) -> None:
        held = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(held | changes))

    match broken:
        case "template":
            edited("tokenizer_config.json", chat_template="{{ raise_exception('one system turn') }}")
        case "layers":
            edited("config.json", num_hidden_layers=5)
        case "sizes":
            edited("config.json", hidden_size=128)
        case "heads":
            edited("config.json", num_attention_heads=0)
        case "quantized":
            edited("config.json", quantization_config={"quant_method": "gptq", "bits": 4})
        case "tokenizer":
            held = json.loads((folder / "tokenizer.json").read_text())
            held["model"]["merges"] = ["a b c d"]
            (folder / "tokenizer.json").write_text(json.dumps(held))
    device = "mps" if broken == "device" else "cpu"
    with pytest.raises((ModelError, WriterError), match=re.escape(reason)):
        ask_model(*load_folder(folder, device=device), ["Prompt."], max_tokens=16)
    assert "MISMATCH" not in capfd.readouterr().err  # one line, no table


def test_device_and_precision_arrive_at_the_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    plays(
        monkeypatch,
        STAND_IN.replace("loads.append(1)", "loads.append(sorted(options.items()))").replace(
            "{len(loads)}", "{loads[0]}"
        ),
    )
    config = asked_of(Path("model"), device="cuda:1").model_copy(update={"dtype": "bfloat16"})
    with model_asked(config) as ask:
        assert ask(["a"]).startswith("[('device', 'cuda:1'), ('dtype', 'bfloat16')]")


@pytest.mark.slow
def test_a_model_gets_the_marks_of_its_chat_template_in_its_precision(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    folder = shutil.copytree(model, tmp_path / "model")
    settings = folder / "tokenizer_config.json"
    turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
    template = turns + "{% if add_generation_prompt %}<assistant>{% endif %}"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))
    loaded, tokenizer = load_folder(folder, dtype="bfloat16")
    given = []

    def generate(**options: torch.Tensor) -> torch.Tensor:
        given.append(options["input_ids"])
        return type(loaded).generate(loaded, **options)

    monkeypatch.setattr(loaded, "generate", generate)
    ask_model(loaded, tokenizer, ["Prompt.", "A text.", "Again."], max_tokens=16)
    marked = "<user>Prompt.</><assistant>A text.</><user>Again.</><assistant>"
    assert tokenizer.decode(given[0][0]) == marked
    assert loaded.dtype == torch.bfloat16
    loaded.to("meta")  # the only other device that every machine has: what is given goes where the model is
    with pytest.raises(WriterError, match="the language model failed"):
        ask_model(loaded, tokenizer, ["Prompt."], max_tokens=16)
    assert given[1].device.type == "meta"
