"""Pages of the site that are made at build: from files of the repository's root, and from the code.

MkDocs calls the functions that begin with `on_`. The command line is read from the typer app, the
Python reference from each package's `__all__`, the columns from the schema: none can go stale.
"""

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "histome"
# Files outside docs/ that stand on the site, or are linked from it: path in the repository -> on the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "LICENSE": "files/license.txt",
    "LICENSE-WEIGHTS": "files/license-weights.txt",
    "CITATION.cff": "files/citation.txt",
    "runs/curriculum.toml": "files/curriculum.toml.txt",
    "runs/curriculum_log.csv": "files/curriculum_log.csv",
}
PYTHON = "reference/python"
COMMANDS = "reference/command-line.md"
CELLS = "reference/cells.md"
REGIONS = "reference/regions.md"
# Modules of the root that users import from; every other public name stands in a room's `__all__`.
ROOT_MODULES = ("classes", "config", "errors")
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put one page a room where the navigation names the folder of the Python reference."""
    pages = [{"The rooms": f"{PYTHON}/index.md"}, *({name: _python_path(name)} for name in _documented())]
    config.nav = _replaced(config.nav, f"{PYTHON}/", pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the files from outside docs/."""
    for source, target in OUTSIDE.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text(encoding="utf-8")))
    made = {COMMANDS: command_line_page(), f"{PYTHON}/index.md": rooms_page()}
    made |= {CELLS: cells_page(), REGIONS: regions_page()}
    made |= {_python_path(name): python_page(name) for name in _documented()}
    for target, text in made.items():
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links that hold in the repository into links that hold on the site."""
    here = page.file.src_uri
    source = next((path for path, target in OUTSIDE.items() if target == here), f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        target = OUTSIDE.get(wanted, wanted.removeprefix("docs/") if wanted.startswith("docs/") else None)
        if "://" in link[2] or target is None:
            return link[0]
        return link[1] + posixpath.relpath(target, posixpath.dirname(here) or ".") + link[3]

    return _LINK.sub(turned, markdown)


def on_page_content(html: str, page: Page, **_: Any) -> None:
    """Refuse a page of the Python reference on which a public name of its room is missing."""
    name = next((name for name in _documented() if _python_path(name) == page.file.src_uri), None)
    if name and (missing := [each for each in _face(name) if f'.{each}"' not in html]):
        raise PluginError(f"{name}: not documented: {', '.join(missing)}")


def command_line_page() -> str:
    """Return the page of every command, with its help, arguments and options."""
    from histome.cli.application import app

    head = "# Command line\n\nMade from the program itself; `histome COMMAND --help` prints the same."
    root = typer.main.get_command(app)
    return "\n\n".join([head, *_commands(root, typer.Context(root, info_name="histome"), level=2)]) + "\n"


def _commands(command: Any, context: Any, level: int) -> Iterator[str]:
    """Yield a section for a command, then for each of its own commands."""
    yield f"{'#' * level} {context.command_path}"
    yield _paragraphs(command.help or "")
    inner = getattr(command, "commands", {})
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    if not inner or level == 2:
        yield f"```\n{usage}\n```"
    rows = [param.get_help_record(context) for param in command.params]
    rows = [row for row in rows if row and row[0] != "--help"]
    if rows:
        yield "| argument or option | meaning |\n|---|---|\n" + "\n".join(
            f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows
        )
    for name, child in inner.items():
        yield from _commands(child, typer.Context(child, info_name=name, parent=context), min(level + 1, 4))


def _paragraphs(help_text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in help_text.replace("\f", "").split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def cells_page() -> str:
    """Return the table of the columns of cells.parquet, from its schema."""
    from histome.cells import SCHEMA

    about = "The columns of `cells/cells.parquet`, one row a nucleus, ordered by y, then x."
    return _columns_page("Cells table", about, SCHEMA)


def regions_page() -> str:
    """Return the table of the columns of regions.parquet, from its schema."""
    from histome.tissue import REGION_SCHEMA

    about = "The columns of `tissue/regions.parquet`, one row a connected piece of one tissue class."
    return _columns_page("Regions table", about, REGION_SCHEMA)


def _columns_page(title: str, about_table: str, schema: Any) -> str:
    rows = [
        (field, {key.decode(): text.decode() for key, text in field.metadata.items()}) for field in schema
    ]
    lines = [
        f"| `{field.name}` | {_type(field.type)} | {about['unit']} | {_cell(about['description'])} |"
        for field, about in rows
    ]
    text = (
        f"# {title}\n\n{about_table} The same words stand in the file, in the metadata of its schema; it "
        "is a GeoParquet file in level-0 px, whose column bbox lets readers skip rows outside a box.\n\n"
        "| column | type | unit | what it is |\n|---|---|---|---|\n"
    )
    return text + "\n".join(lines) + "\n"


def _type(kind: Any) -> str:
    return str(getattr(kind, "value_type", kind))


def rooms_page() -> str:
    """Return the table of the rooms: what each is for, as its docstring says, and a link to its page."""
    documented = set(_documented())
    rows = []
    for name in _rooms():
        label = name.removeprefix("histome.")
        shown = f"[`{label}`]({label}.md)" if name in documented else f"`{label}`"
        rows.append(f"| {shown} | {_first_sentence(name)} |")
    text = (
        "# Python: the rooms\n\nThe package is a row of rooms; each has one purpose and a face, the names in "
        "its `__all__`. What is not named there may change without notice. [`histome`](histome.md) itself "
        "holds the three doors that most users need. [Why the layout is as it is](../../design/rooms.md).\n\n"
        "| room | what it is for |\n|---|---|\n"
    )
    return text + "\n".join(rows) + "\n"


def python_page(name: str) -> str:
    """Return the page of one room or module: its docstring and its public names."""
    names = _face(name)
    members = f"\n      members: [{', '.join(names)}]" if names else ""
    return (
        f"# {name}\n\n::: {name}\n    options:\n      show_root_heading: false\n"
        f"      show_root_toc_entry: false\n      heading_level: 2{members}\n"
    )


def _documented() -> list[str]:
    """Return what gets a page: the package itself, every room with a face, the modules of the root."""
    faces = [name for name in _rooms() if _face(name)]
    return ["histome", *faces, *(f"histome.{name}" for name in ROOT_MODULES)]


def _rooms() -> list[str]:
    return [f"histome.{path.parent.name}" for path in sorted(PACKAGE.glob("*/__init__.py"))]


def _source(name: str) -> ast.Module:
    stem = PACKAGE.joinpath(*name.split(".")[1:])
    path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def _face(name: str) -> list[str]:
    """Return the names in a package's `__all__`, read without importing it; empty where it has none."""
    if name == "histome.cli":
        return []  # its page is that of the command line
    for node in _source(name).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _first_sentence(name: str) -> str:
    return _cell((ast.get_docstring(_source(name)) or "").split("\n\n")[0])


def _python_path(name: str) -> str:
    return f"{PYTHON}/{name.removeprefix('histome.')}.md"


def _replaced(nav: Any, entry: str, pages: list[dict[str, str]]) -> Any:
    """Return the navigation with the value `entry` replaced by pages, wherever it stands."""
    if isinstance(nav, dict):
        return {name: _replaced(value, entry, pages) for name, value in nav.items()}
    if isinstance(nav, list):
        return [_replaced(value, entry, pages) for value in nav]
    return pages if nav == entry else nav
