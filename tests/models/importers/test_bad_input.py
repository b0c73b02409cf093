"""Files that are no checkpoint of the kind that is asked for: one line, and nothing is left behind."""

import pickle

import pytest

torch = pytest.importorskip("torch", reason="importing needs the [train] extra")

from helpers.cli import Cli

from histome.models.importers import IMPORTERS, known_classes


class Loud:
    """A pickle that would run code."""

    def __reduce__(self):
        return (print, ("run",))


def write_bad(what, path):
    """One of what users may name by mistake."""
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("Not Found")
    elif what == "html":
        path.write_text("<!doctype html><title>Sign in to see this gated model</title>")
    elif what == "nothing":
        path.write_bytes(b"")
    elif what == "pickle":
        path.write_bytes(pickle.dumps(Loud()))
    elif what == "code":
        torch.save({"model_state_dict": {"w": torch.zeros(1)}, "net": Loud()}, path)
    elif what == "another":
        torch.save({"model_state_dict": {"conv.weight": torch.zeros(1)}}, path)
    elif what == "list":
        torch.save([torch.zeros(1)], path)


@pytest.mark.parametrize(
    "what", ["missing", "folder", "text", "html", "nothing", "pickle", "code", "another", "list"]
)
@pytest.mark.parametrize("kind", [*IMPORTERS, "tissue"])
def test_what_is_no_checkpoint_of_its_kind_is_one_line(kind, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.pt"
    write_bad(what, path)
    words = ("models", "import", kind, path, "-o", tmp_path / "mine", "--license", "MIT", "--classes")
    table = tmp_path / "table.toml"
    table.write_text(
        'classes = ["a", "b"]\ntissues = ["background", "STROMA"]\nmpp = 1.0\nwindow_px = 64\nhalo_px = 8\n'
    )
    before = sorted(each.name for each in tmp_path.iterdir())
    said = Cli(capsys).fails(*words, table if kind == "tissue" else "nucleus", code=1, word=path.name)
    assert not (what in ("text", "html") and "holds more than weights" in said)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_a_checkpoint_of_one_kind_is_none_of_another(tmp_path, capsys):
    """What each kind looks for first, in one file: it is not all that another needs."""
    first = {
        "hovernet": "conv0./.weight",
        "cellvit": "encoder.patch_embed.proj.weight",
        "histoplus": "backbone.feature_extractor.model.reg_token",
        "cellpose": "W2",
    }
    for kind, name in first.items():
        path = tmp_path / f"{kind}.pt"
        torch.save({name: torch.zeros(1, 1, 1, 1)}, path)
        for other in first:
            words = ("models", "import", other, path, "-o", tmp_path / "mine", "--license", "MIT")
            Cli(capsys).fails(*words, "--classes", "nucleus", code=1, word=f"{path}: no ")
    assert not (tmp_path / "mine").exists()


def test_numbers_of_numpy_beside_the_weights_are_read(tmp_path):
    """Training scripts keep their best score so; it is bytes and a type, no code."""
    import numpy as np

    from histome.models.importers.checkpoint import read_checkpoint

    path = tmp_path / "best.pt"
    scores = {"loss": np.float32(0.1), "best": np.float64(0.7), "step": np.int64(3), "done": np.bool_(True)}
    torch.save({"model_state_dict": {"w": torch.ones(2)}, **scores}, path)
    assert read_checkpoint(path)["w"].tolist() == [1, 1]


def test_the_command_names_the_kinds_and_class_maps_that_there_are():
    from histome.cli.models import _KINDS, _MAPS

    assert set(_KINDS.rstrip(".").replace(" or ", ", ").split(", ")) == {*IMPORTERS, "tissue"}
    assert _MAPS.split(", ") == list(known_classes())
