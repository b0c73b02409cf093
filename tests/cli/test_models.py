"""`histome models`: what installed packages add stands beside what is shipped."""

from helpers.cli import Cli
from helpers.packages import install
from helpers.tiny_models import stardist_model


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
