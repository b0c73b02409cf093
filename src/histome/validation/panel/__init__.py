"""Molecular labels: which markers a nucleus has by restained pictures, and its class by a panel's rules.

A panel is a TOML file: markers (of which picture, chromogen and compartment, from which density on) and
classes (which markers they have and which not).
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.panel.calls import PanelCalls, call_classes
    from histome.validation.panel.declared import Panel, read_panel
    from histome.validation.panel.measure import MarkerReading, measure_markers

__all__ = ["MarkerReading", "Panel", "PanelCalls", "call_classes", "measure_markers", "read_panel"]
__getattr__ = opened(__name__, __file__)
