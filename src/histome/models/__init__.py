"""What was learned: cards, tasks, the models there are and their runtime (imported only when needed)."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.models.card import Card, load_card, write_card
    from histome.models.registry import find_model, list_models, open_model, plugin_models, register_model
    from histome.models.runtime import Network, Predictor
    from histome.models.tasks import TASKS

__all__ = [
    "TASKS",
    "Card",
    "Network",
    "Predictor",
    "find_model",
    "list_models",
    "load_card",
    "open_model",
    "plugin_models",
    "register_model",
    "write_card",
]
__getattr__ = opened(__name__, __file__)
