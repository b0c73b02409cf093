"""Looking at files in another process whose time and memory are bounded from outside."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

WORKER = Path(__file__).with_name("worker.py")
# Seconds of CPU, or ten times as many by the clock: a busy machine makes no file hang.
MAX_SECONDS, MAX_BYTES = 30.0, 1_000_000_000
_PATIENCE = 10.0
# A new process after so many files: what a decoder damaged or kept does not add up.
BATCH = 250
# What must not happen. The others: read, broken tiles (white and counted), refused (one line).
BAD = ("traceback", "crash", "hang", "memory")


class Seen(NamedTuple):
    """How one file ended: outcome, what was said, seconds of CPU, bytes by which the process grew."""

    outcome: str
    text: str
    seconds: float
    grown: int


class Watched:
    """A process that looks at files; it is killed beyond the bounds and replaced when it is gone."""

    def __init__(self, *, seconds: float = MAX_SECONDS, grow: int = MAX_BYTES, script: Path = WORKER) -> None:
        self._seconds, self._grow, self._script = seconds, grow, script
        self._process: subprocess.Popen[bytes] | None = None
        self._looked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def look(self, path: Path) -> Seen:
        """Have one file looked at; whatever it does to the process, an outcome comes back."""
        process = self._started()
        assert process.stdin
        before = _memory(process.pid, "VmRSS")
        _forget_peak(process.pid)
        begun, used = time.perf_counter(), _cpu(process.pid)
        process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        process.stdin.flush()
        outcome, text, seconds = self._answer(process, (begun, used), before)
        grown = max(0, _memory(process.pid, "VmHWM") - before)
        if outcome not in ("crash", "hang", "memory") and grown > self._grow:
            outcome = "memory"
        if outcome in ("crash", "hang", "memory") or self._looked >= BATCH:
            self._stop()
        return Seen(outcome, text, seconds, grown)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(self._script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # One thread a library: what is measured is the file, not the number of processors.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            self._looked = 0
            assert self._process.stdout
            assert json.loads(self._process.stdout.readline())[0] == "ready"
        self._looked += 1
        return self._process

    def _answer(
        self, process: "subprocess.Popen[bytes]", since: tuple[float, float], before: int
    ) -> tuple[str, str, float]:
        """Return the outcome, what was said and seconds of CPU; `since` is the clock and the CPU's before."""
        assert process.stdout
        while not select.select([process.stdout], [], [], 0.02)[0]:
            clock, used = time.perf_counter() - since[0], _cpu(process.pid) - since[1]
            if max(clock / _PATIENCE, used) > self._seconds:
                return "hang", f"after {clock:.0f} s", used
            grown = _memory(process.pid, "VmRSS") - before
            if grown > self._grow:
                return "memory", f"{grown / 1e9:.2f} GB and growing", used
        line, used = process.stdout.readline(), _cpu(process.pid) - since[1]
        if not line:
            code = process.wait()
            return "crash", signal.Signals(-code).name if code < 0 else f"exit code {code}", max(0.0, used)
        outcome, text = json.loads(line)
        return outcome, text, used

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe
                pipe.close()
            self._process = None


def _memory(process: int, field: str) -> int:
    """Return VmRSS (now) or VmHWM (at most since it was forgotten) in bytes; 0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _cpu(process: int) -> float:
    """Return the seconds of CPU that a process has used, 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _forget_peak(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")
