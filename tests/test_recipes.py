"""Recipes for containers and clusters: what they name is there, and the array profiles the right slide."""

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from histome.cli import app

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "containers").iterdir())
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("cluster", "cohorts", "regions-of-interest", "my-own-nuclei")
    ),
]
SBATCH = ROOT / "containers" / "profile.sbatch"


def calls(path: Path) -> list[list[str]]:
    """Return the words of every call of histome in a recipe, or in the code blocks of a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = [line.lstrip("# ") for line in text.replace("\\\n", " ").splitlines()]
    found = [re.split(r"\b(?:histome|image\.sif) (?=[a-z])", line, maxsplit=1) for line in lines]
    said = [shlex.split(parts[1].split("&&")[0]) for parts in found if len(parts) == 2]
    return [words for words in said if words[0] in typer.main.get_command(app).commands]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [*RECIPES, *PAGES], ids=lambda path: path.name)
def test_commands_and_options_are_there(path: Path) -> None:
    found = calls(path)
    assert found
    for words in found:
        command = typer.main.get_command(app)
        names = list(words)
        while hasattr(command, "commands"):
            command = command.commands[names.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts} | {"--quiet", "--log"}
        assert {word for word in names if word.startswith("-")} <= known


def test_what_an_image_is_made_of_is_there() -> None:
    docker, apptainer = ((ROOT / "containers" / name).read_text() for name in ("Dockerfile", "apptainer.def"))
    copied = [line.split()[1:-1] for line in docker.splitlines() if line.startswith("COPY ")]
    files = re.search(r"%files\n(.*?)\n\n", apptainer, re.DOTALL)
    assert files is not None
    placed = [line.split()[0] for line in files[1].splitlines()]
    assert sorted(name for names in copied for name in names) == sorted(placed)
    assert all((ROOT / name).exists() for name in placed)
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {about["readme"], *about["license-files"]} <= set(placed)
    for recipe in (docker, apptainer):
        version = re.search(r"python:3\.(\d+)-slim", recipe)
        assert version is not None
        assert int(version[1]) >= int(about["requires-python"].split(".")[1])


def test_the_array_profiles_the_slide_of_its_task(tmp_path: Path) -> None:
    (tmp_path / "slides.txt").write_text("a.svs\nwith space.svs\nc.svs\n")
    stub = tmp_path / "histome"
    stub.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    stub.chmod(0o755)
    told = os.environ | {"SLURM_ARRAY_TASK_ID": "2", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", SBATCH], cwd=tmp_path, env=told, capture_output=True, text=True, check=True
    )
    words = ["profile", "with space.svs", "-o", "out", "--quiet", "--log", "logs/2.jsonl"]
    assert done.stdout.splitlines() == words
    assert (tmp_path / "logs").is_dir()


def test_the_page_prints_the_array_as_it_is() -> None:
    lines = SBATCH.read_text().splitlines()
    assert SBATCH.read_text() in (ROOT / "docs" / "cluster.md").read_text()
    assert len(lines) == 6
