"""A language model of a folder, in a process of its own that is ended when its time is over.

Weights that take minutes to load, a chat template that never ends and a crash of a native library cannot be
stopped from within. `python -m histome.narrative.writers.model_process` reads settings and then conversations
as lines of JSON and answers each with lines of JSON; what libraries print goes to the log.
"""

import faulthandler
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from histome.config import NarrativeConfig
from histome.errors import ModelError, UsageError, disk_reason
from histome.narrative.writers.language_models import (
    WriterError,
    check_folder,
    load_folder,
    text_of,
    tokens_of,
)
from histome.threads import available_cpus

# Not the folder where the run began: there may lie a torch.py of the model's.
_CHILD = (sys.executable, "-P", "-m", "histome.narrative.writers.model_process")
_REFUSALS = {kind.__name__: kind for kind in (ModelError, UsageError, WriterError)}
_ORPHAN_S = 10.0  # that a process may outlive its time, where a library holds all its threads
_WATCH_S = 1.0
_SIGKILL = 9
_LAST_WORDS_S = 5.0  # read at once, but where a process that a library began outlives it
_log = logging.getLogger(__name__)


@contextmanager
def model_asked(config: NarrativeConfig) -> Iterator[Callable[[Sequence[str]], str]]:
    """Yield what asks the model of a folder, which is loaded once, with the first question.

    Asking returns what it writes, in `timeout_s` a question, loading included. The process is killed where it
    takes longer, and at the end.

    Raises
    ------
    ModelError
        There is no language model in the folder, or it cannot be loaded.
    UsageError
        The `train` extra is missing.
    WriterError
        No whole text in time; the prompt is longer than the model reads; template, model or process fail.
    """
    check_folder(config.model or "")
    pipe = subprocess.PIPE
    options = {"text": True, "encoding": "utf-8", "errors": "replace", "env": _environment()}
    options |= {"start_new_session": True}  # a group of its own, to be ended with all that it begins
    try:
        child = subprocess.Popen(_CHILD, stdin=pipe, stdout=pipe, stderr=pipe, **options)
    except OSError as error:
        raise WriterError(f"no process can be begun for it ({disk_reason(error)})") from error
    talk = _Talk(child, config)
    listener = threading.Thread(target=talk.listen, daemon=True)
    listener.start()
    try:
        yield talk.ask
    finally:
        _kill(child)
        # A thread: to close a pipe that is read waits for those who hold it, such as what left the group.
        closing = threading.Thread(target=_close, args=(child, listener), daemon=True)
        closing.start()
        closing.join(_LAST_WORDS_S)


def _close(child: "subprocess.Popen[str]", listener: threading.Thread) -> None:
    """Wait for the last words, close the pipes and wait for the end."""
    listener.join()
    with suppress(BrokenPipeError), child:
        pass


def _kill(child: "subprocess.Popen[str]") -> None:
    """Kill a child and, but on Windows, what it has begun, which may hold its pipes."""
    if sys.platform == "win32":
        child.kill()
        return
    with suppress(OSError):  # all have ended
        os.killpg(child.pid, _SIGKILL)


def _environment() -> dict[str, str]:
    """Return the environment of a process that draws no bars and has a thread for each CPU we may use.

    PyTorch, which knows no quota, takes that number from OpenMP.
    """
    return {"OMP_NUM_THREADS": str(available_cpus()), **os.environ, "TQDM_DISABLE": "1"}


class _Talk:
    """A conversation with a child."""

    def __init__(self, child: "subprocess.Popen[str]", config: NarrativeConfig) -> None:
        self._child, self._config = child, config
        self._sent = [json.dumps(config.model_dump(mode="json"))]
        self._where = "while it began"
        self._replies: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def ask(self, turns: Sequence[str]) -> str:
        """Return the model's text; raises as `model_asked` says."""
        self._sent.append(json.dumps(list(turns)))
        # A thread: to write waits where the child does not read, to read where it does not write.
        threading.Thread(target=self._exchange, daemon=True).start()
        try:
            reply = self._replies.get(timeout=self._config.timeout_s)
        except Empty:
            given = f"the language model gave no whole text in {self._config.timeout_s:g} s"
            raise WriterError(f"{given}: its time was over {self._where}") from None
        if "text" in reply:
            return reply["text"]
        raise _REFUSALS[reply["refused"]](reply["reason"])

    def _exchange(self) -> None:
        """Send what is to be sent and keep the reply."""
        with suppress(OSError, ValueError):  # it has ended, or was
            self._send()
            for line in self._child.stdout or ():
                reply = json.loads(line)
                if "where" not in reply:
                    self._replies.put(reply)
                    return
                self._where = reply["where"]
        code = self._child.wait()
        short = ": the system kills where memory is short" if code == -_SIGKILL else ""
        reason = f"its process ended {self._where} (exit code {code}{short})"
        self._replies.put({"refused": WriterError.__name__, "reason": reason})

    def _send(self) -> None:
        assert self._child.stdin is not None
        while self._sent:
            self._child.stdin.write(self._sent.pop(0) + "\n")
        self._child.stdin.flush()

    def listen(self) -> None:
        """Write what libraries print to the log."""
        with suppress(ValueError):  # closed at the end
            for line in self._child.stderr or ():
                _log.info("language model: %s", line.rstrip())


def _end_with(parent: int) -> None:
    """End this process where the one that began it is gone, as after kill -9."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def main() -> None:
    """Load the model that the first line of stdin names, and answer every line after it."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**reply: str) -> None:
        print(json.dumps(reply), file=answers, flush=True)

    config = NarrativeConfig.model_validate_json(sys.stdin.readline())
    loaded = None
    for line in sys.stdin:
        faulthandler.dump_traceback_later(config.timeout_s + _ORPHAN_S, exit=True)
        try:
            tell(where="while it was loaded")
            loaded = loaded or load_folder(config.model or "", device=config.device, dtype=config.dtype)
            tell(where="in its chat template or tokenizer")
            tokens = tokens_of(loaded[1], json.loads(line))
            tell(where="while it wrote")
            tell(text=text_of(*loaded, tokens, max_tokens=config.max_tokens))
        except (ModelError, UsageError, WriterError) as error:
            tell(refused=type(error).__name__, reason=str(error))
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
