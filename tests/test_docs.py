"""What the documentation names is there: modules and their names, files, commands, links."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from histome.cli.application import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    ]
)
PAGE_NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
# A path in the text counts from here.
SHELVES = (ROOT, ROOT / "src", ROOT / "src" / "histome")
NAME = re.compile(r"\bhistome(?:\.[A-Za-z_]\w*)+")
IMPORT = re.compile(r"^from (histome[\w.]*) import (.+)$", re.MULTILINE)
PATH = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|toml|md))`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
CODE = re.compile(r"^```\w*\n(.*?)^```$|`(.+?)`", re.MULTILINE | re.DOTALL)
METRIC = re.compile(r"[A-Z0-9*]+_[A-Z0-9_*]+\b")
COMMAND = re.compile(r"^(?:\$ )?histome ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)


def resolve(name: str) -> Any:
    """Import what a dotted name means; None where a library that is not installed is in the way."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("histome"):
                return None
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_names_resolve(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    imported = {
        f"{module}.{name.strip()}" for module, names in IMPORT.findall(text) for name in names.split(",")
    }
    for name in sorted({*NAME.findall(text), *imported}):
        resolve(name)


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_files_and_links_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    missing = [path for path in PATH.findall(text) if not any((shelf / path).exists() for shelf in SHELVES)]
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing += [link for link in links if not ((ROOT / page).parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGE_NAMES)
def test_commands_are_there(page: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    code = "\n".join(block or span for block, span in CODE.findall((ROOT / page).read_text(encoding="utf-8")))
    for group, command in COMMAND.findall(code):
        assert group in commands
        inner = getattr(commands[group], "commands", {})
        assert not (inner and command) or command in inner


@pytest.mark.parametrize("page", ["docs/questions.md", "docs/statistics.md"])
def test_metrics_are_there(page: str) -> None:
    from histome.metrics.catalogue import search_metrics

    text = (ROOT / page).read_text(encoding="utf-8")
    named = [re.split(r",? ", code)[0] for _, code in CODE.findall(text) if METRIC.match(code)]
    assert len(named) > 10
    # A family of names without its classes stands for all of them.
    assert [name for name in named if not (search_metrics([f"{name}*"]))] == []


def test_a_name_that_is_gone_is_found() -> None:
    with pytest.raises(AttributeError):
        resolve("histome.slide.no_such_name")


def test_the_glossary_is_in_the_order_of_the_work_and_holds_no_word_twice() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8").split("## Glossary")[1]
    words = re.findall(r"^\| ([a-z ]+?) \| [A-Z]", text, re.MULTILINE)
    assert 20 <= len(words) == len(set(words)) <= 30
