"""Nothing is asked of a network and nothing is told to one, by histome or by its libraries."""

import os
import subprocess
import sys
from pathlib import Path

from soak.drawn import draw_case

# Libraries tell of themselves from threads and from processes that they fork.
CODE = """
import sys
from histome.cli import main

def look(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "os.fork", "urllib.Request"):
        print(event, arguments, file=sys.__stdout__, flush=True)

sys.addaudithook(look)
main(sys.argv[1:])
"""


def talk(home: Path, *words: str) -> str:
    # Telemetry is silent where CI says that it is CI.
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(home)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return "\n".join(
        line for line in done.stdout.splitlines() if line.startswith(("socket", "os.", "urllib"))
    )


def test_a_profile_talks_to_nobody(tmp_path: Path) -> None:
    assert talk(tmp_path, *draw_case(tmp_path, size_px=(600, 500)), "-o", str(tmp_path / "out")) == ""


def test_the_doctor_talks_to_nobody(tmp_path: Path) -> None:
    assert talk(tmp_path, "doctor") == ""
