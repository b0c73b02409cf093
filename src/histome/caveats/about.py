"""What run.json says of a run besides its stages: settings, models, versions, and the warnings of it all."""

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import histome
from histome.caveats.find import Observed, find_caveats
from histome.config import Config
from histome.models.card import Card

# What decides numbers besides our own code: recorded, not compared.
_LIBRARIES = ("numpy", "scipy", "opencv-python-headless", "openvino", "onnxruntime", "numba")


def about_run(config: Config, cards: Mapping[str, Card]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what gives the rest of run.json: settings, models, versions, and the warnings of it all."""
    settings = config.model_dump(mode="json")
    given = (("roi", "file"), ("cells", "nuclei"), ("metrics", "edits"), ("report", "reference"))
    for group, name in given:  # not where they lie
        path = settings[group][name]
        settings[group][name] = path and Path(path).name
    about = {
        "config": settings,
        "models": [
            {"name": card.name, "version": card.version, "sha256": card.sha256, "license": card.license}
            for card in cards.values()
        ],
        "versions": {
            "histome": histome.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: version(name) for name in _LIBRARIES},
        },
    }

    def with_warnings(content: Mapping[str, Any]) -> dict[str, Any]:
        found = find_caveats(Observed({**content, **about}, tuple(cards.values()), config.warnings))
        return {"warnings": [caveat._asdict() for caveat in found], **about}

    return with_warnings
