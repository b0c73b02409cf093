"""The public names of the room."""

import inspect

import histome.metrics.measuring
from histome import metrics


def test_every_name_of_the_face_is_one_of_its_own_modules():
    for name in metrics.__all__:
        home = inspect.getmodule(getattr(metrics, name))
        assert home is None or home.__name__.startswith("histome.metrics"), name


def test_no_module_hides_a_name():
    assert metrics.measure is histome.metrics.measuring.measure
    assert not [name for name in metrics.__all__ if inspect.ismodule(getattr(metrics, name))]
