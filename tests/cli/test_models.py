"""`histome models`: what installed packages add stands beside what is shipped."""

import json

import pytest
from helpers.cli import Cli
from helpers.packages import install
from helpers.tiny_models import stardist_model

from histome.models.hub import _PLACE
from histome.models.public import public_models


def test_models_of_packages_are_listed_and_a_broken_one_is_a_line(cli: Cli, tmp_path, monkeypatch) -> None:
    card = stardist_model(tmp_path / "folder")
    points = [f"{card.name} = made_listed:PATH", "broken = made_nowhere:model"]
    install(tmp_path / "site", points, {"made_listed": f"PATH = {str(tmp_path / 'folder')!r}\n"})
    monkeypatch.syspath_prepend(tmp_path / "site")
    code, out, _ = cli("models", "list")
    assert code == 0
    first_words = [line.split()[0] for line in out.splitlines()]
    assert {"nuclei", "tissue", card.name} <= set(first_words)
    assert [line for line in out.splitlines() if "cannot be used: broken: " in line]
    code, out, _ = cli("models", "show", card.name)
    assert card.description in out


def test_public_models_are_listed_with_their_license_before_where_they_are(cli: Cli) -> None:
    code, out, _ = cli("models", "list", "--remote")
    assert code == 0
    blocks = _blocks(out)
    assert len(blocks) == len(public_models()) >= 10
    for block, model in zip(blocks, public_models(), strict=True):
        license_, where = (
            next(k for k, line in enumerate(block) if word in line) for word in ("license:", "from:")
        )
        assert license_ < where
        assert model.license in block[license_]
        assert bool(model.kind) == (" MB" in block[0])  # of what can be imported the size is known
        assert model.where in block[where]
    code, out, _ = cli("models", "list", "--remote", "--json")
    assert [each["name"] for each in json.loads(out)] == [model.name for model in public_models()]


def _blocks(out: str) -> list[list[str]]:
    blocks: list[list[str]] = []
    for line in out.rstrip().split("\n"):
        blocks.append([line]) if not line.startswith("  ") else blocks[-1].append(line)
    return blocks


def test_the_table_of_public_models_names_what_there_is() -> None:
    importers = pytest.importorskip("histome.models.importers", reason="importing needs the [train] extra")
    pytest.importorskip("torch", reason="importing needs the [train] extra")
    for model in public_models():
        assert model.kind in ("", *importers.IMPORTERS), model.name
        assert bool(model.kind) == bool(model.classes), model.name
        assert not model.classes or model.classes in importers.known_classes(), model.name
        if not model.where.startswith("https://"):
            assert _PLACE.fullmatch(model.where), model.name
