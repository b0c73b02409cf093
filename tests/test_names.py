"""One word, one thing: no public class twice, no crowded folder, and each room says what it holds."""

import ast
import importlib
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType

import pytest

import histome
from histome import faces

SOURCE = Path(histome.__file__).parent
ROOMS = sorted(
    path.parent.relative_to(SOURCE).as_posix()
    for path in SOURCE.rglob("__init__.py")
    if path.parent != SOURCE and "templates" not in path.parts
)
MOST_MODULES = 16
# Reached by name: the catalogue of metrics loads each family by the name of its module.
WITHOUT_DOORS = {room for room in ROOMS if room.startswith("metrics/families")}


def module_of(room: str) -> str:
    return "histome." + room.replace("/", ".")


def test_no_public_class_is_defined_twice() -> None:
    homes = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path.relative_to(SOURCE).as_posix())
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_no_folder_hides_rooms(capsys: pytest.CaptureFixture[str]) -> None:
    modules = Counter(path.parent for path in SOURCE.rglob("*.py") if path.name != "__init__.py")
    with capsys.disabled():
        folder, most = modules.most_common(1)[0]
        print(f"\n{len(modules)} folders: at most {most} modules ({folder.relative_to(SOURCE)})")
    assert {folder for folder, count in modules.items() if count > MOST_MODULES} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for(room: str) -> None:
    doc = importlib.import_module(module_of(room)).__doc__ or ""
    assert len(doc.split()) > 3
    assert doc.strip().endswith((".", "?"))


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in WITHOUT_DOORS])
def test_a_room_lists_its_doors(room: str) -> None:
    module = importlib.import_module(module_of(room))
    listed = module.__all__
    assert len(listed) == len(set(listed)) > 0
    for name in listed:
        assert not name.startswith("_")
        assert getattr(module, name) is not None
        home = opened_from(module, name)
        assert home.startswith(module.__name__), f"{name} lives in {home}, not in this room"


def opened_from(module: ModuleType, name: str) -> str:
    """Return the module that a room's name comes from, as its face says."""
    return faces.homes(str(module.__file__)).get(name, module.__name__)


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in WITHOUT_DOORS])
def test_what_a_room_imports_by_name_is_listed(room: str) -> None:
    """The face and the list are one: a public name that the room offers stands in `__all__`."""
    module = importlib.import_module(module_of(room))
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(module.__name__)
    }
    assert own <= set(module.__all__)
