"""Models of installed packages, from packages made here."""

import sys

import pytest
from helpers.drawn_nuclei import DrawnNetwork
from helpers.packages import install
from helpers.tiny_models import stardist_model

from histome.errors import ModelError
from histome.models import registry
from histome.models.card import load_card
from histome.models.registry import find_model, open_model, plugin_models
from histome.models.runtime import Network

OBJECT = """
from helpers.drawn_nuclei import DrawnNetwork, drawn_card

model = DrawnNetwork(drawn_card(name="drawn"))
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package whose modules are forgotten after the test."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    monkeypatch.syspath_prepend(tmp_path / "site")
    known = set(sys.modules)
    yield lambda points, modules, **about: install(tmp_path / "site", points, modules, **about)
    for name in set(sys.modules) - known:
        if name.startswith("made_"):
            del sys.modules[name]


def test_a_folder_in_a_package_is_a_model(package, tmp_path):
    card = stardist_model(tmp_path / "folder")
    package([f"{card.name} = made_folder:PATH"], {"made_folder": f"PATH = {str(tmp_path / 'folder')!r}\n"})
    assert find_model(card.name, task="stardist") == card
    assert isinstance(open_model(find_model(card.name)), Network)
    assert list(plugin_models()) == [card.name]


def test_an_object_or_what_returns_one_is_a_model(package):
    package(
        ["drawn = made_object:model", "made = made_function:make"],
        {
            "made_object": OBJECT,
            "made_function": OBJECT + "def make():\n    return DrawnNetwork(drawn_card(name='made'))\n",
        },
    )
    for name in ("drawn", "made"):
        card = find_model(name)
        assert card.name == name
        assert isinstance(open_model(card), DrawnNetwork)


def test_a_package_is_not_imported_before_its_model_is_asked_for(package):
    package(["drawn = made_object:model"], {"made_object": OBJECT})
    assert find_model("nuclei") == load_card("nuclei")
    assert "made_object" not in sys.modules
    find_model("drawn")
    assert "made_object" in sys.modules


def test_a_shipped_model_is_not_replaced_by_a_package(package):
    package(["nuclei = made_object:model"], {"made_object": OBJECT})
    assert find_model("nuclei") == load_card("nuclei")
    assert "a shipped model has this name" in str(plugin_models()["nuclei"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import no_such_module",
            "broken: the entry point made_broken:model of made-models 1.0 can",
        ),
        ("1 / 0", "ZeroDivisionError"),
        ("other = 1", "cannot be loaded"),
        ("def model():\n    raise KeyError('x')", "its entry point raised KeyError"),
        ("model = 3", "gives a int, not a folder or a Predictor"),
        ("model = 'nowhere'", "nowhere: no such model"),
        (OBJECT, "gives the model drawn; name both alike"),
    ],
)
def test_a_broken_package_is_one_line(package, source, message):
    package(["broken = made_broken:model"], {"made_broken": source})
    with pytest.raises(ModelError, match=message) as error:
        find_model("broken")
    assert "\n" not in str(error.value)
    assert str(plugin_models()["broken"]) == str(error.value)


def test_two_packages_of_one_name_are_refused(package):
    for name in ("one", "two"):
        package(["drawn = made_object:model"], {"made_object": OBJECT}, name=name)
    with pytest.raises(ModelError, match="both give a model of this name"):
        find_model("drawn")
