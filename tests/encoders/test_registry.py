"""Which encoders there are: cards, own cards, those of installed packages, and those that are missing."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers.packages import install
from typer.testing import CliRunner

from histome.cli import app
from histome.encoders import describe_encoder, find_encoder, list_encoders, open_encoder
from histome.encoders import registry as registry_module
from histome.errors import ModelError, UsageError

TILES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
# The encoders that the specification names.
NAMED = {
    *("uni", "uni2-h", "virchow", "virchow2", "h-optimus-0", "h-optimus-1", "h0-mini", "phikon", "phikon-v2"),
    *(
        "prov-gigapath",
        "hibou-b",
        "hibou-l",
        "conch",
        "conch-v1-5",
        "rudolfv-2",
        "rudolfv-2-b",
        "rudolfv-2-s",
    ),
    *(
        "ctranspath",
        "retccl",
        "midnight-12k",
        "gpfm",
        "keep",
        "mstar",
        "kimianet",
        "pathorchestra",
        "pluto-4s",
    ),
    *("exaone-path", "exaone-path-2-5", "care", "prism", "madeleine", "threads", "chief", "moozy"),
    "prov-gigapath-slide",
}


def test_every_named_encoder_has_a_card_that_says_what_it_does_not_know():
    cards = {card.name: card for card in list_encoders()}
    assert set(cards) >= NAMED
    for card in cards.values():
        assert card.about.endswith("."), card.name
        assert (card.mean is None) == (card.std is None)
        assert card.level == "tile" or card.mean is None
    assert "license     unknown" in describe_encoder(cards["mstar"])
    assert "untested with real weights" in describe_encoder(cards["uni"])


def test_the_list_is_made_without_torch():
    code = "import sys; from histome.encoders import list_encoders as f; f(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_encoder_of_an_installed_package_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(registry_module, "_DECLARED", dict(registry_module._DECLARED))
    monkeypatch.syspath_prepend(tmp_path)
    source = (
        "from histome.encoders import encoder\n"
        "@encoder(publisher='them', dimension=1, mpp=0.5, pooling='own', weights='none')\n"
        "def their_brightness():\n    'Mean of all.'\n"
        "    return lambda tiles: tiles.mean((1, 2, 3))[:, None]\n"
    )
    points = ["their-brightness = made_encoder:their_brightness"]
    install(tmp_path, points, {"made_encoder": source}, group="histome.encoders")
    assert find_encoder("their-brightness").publisher == "them"
    assert "their-brightness" in {card.name for card in list_encoders()}
    np.testing.assert_allclose(
        open_encoder("their-brightness")(TILES)[:, 0], TILES.mean((1, 2, 3)), rtol=1e-6
    )


def test_what_is_no_encoder_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="no-such: no such encoder; `histome encoders list`"):
        find_encoder("no-such")
    card = tmp_path / "mine.toml"
    card.write_text('name = "mine"\npublisher = "me"\nmpp = 0.5\nlizenz = "MIT"\n')
    with pytest.raises(ModelError, match="unknown fields lizenz"):
        find_encoder(card)
    card.write_text('name = "mine"\npublisher = "me"\nmpp = 0.5\n')
    with pytest.raises(ModelError, match="no dimension, input_px"):
        find_encoder(card)


def test_without_weights_the_user_reads_where_they_are_and_under_which_license(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOME_ENCODERS", str(tmp_path))
    with pytest.raises(UsageError, match=r"huggingface.co/MahmoodLab/UNI2-h \(license: CC-BY-NC-ND-4.0"):
        open_encoder("uni2-h")
    with pytest.raises(UsageError, match="reads the vectors of tiles"):
        open_encoder("prism")


def test_vectors_are_held_against_the_card():
    opened = open_encoder("color-histogram")
    found = opened(TILES)
    assert (found.shape, found.dtype) == ((3, 48), np.float32)
    np.testing.assert_allclose(found.sum(1), 3.0, rtol=1e-5)  # shares of three channels
    side = np.kron(TILES[:1], np.ones((1, 4, 4, 1), np.uint8))[:, :224, :224]
    dark = (side[0, ..., 0] < 16).mean()
    assert dark > 0
    assert opened(side)[0, 0] == pytest.approx(dark, abs=1e-6)
    with pytest.raises(ValueError, match="tiles are uint8"):
        opened(TILES.astype(np.float32))


def test_the_command_lists_shows_and_checks():
    runner = CliRunner()
    listed = json.loads(runner.invoke(app, ["encoders", "list", "--json"]).output)
    assert {"uni", "prism"} <= {card["name"] for card in listed}
    assert "MahmoodLab/CONCH" in runner.invoke(app, ["encoders", "show", "conch"]).output
    done = runner.invoke(app, ["encoders", "check", "color-histogram"])
    assert done.output.count("ok  ") == 7
    assert "FAIL" not in done.output
    assert "FAIL  opens" in runner.invoke(app, ["encoders", "check", "uni"]).output
