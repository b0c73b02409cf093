import re
from pathlib import Path

import pytest

from histome.errors import MppError, UsageError
from histome.slide.mpp import MppHints, resolution_um, resolve_mpp

SLIDE = Path("folder/slide.tif")


def resolve(**hints: object) -> tuple[float, float, str]:
    mpp = resolve_mpp(SLIDE, MppHints(**hints))  # pyright: ignore[reportArgumentType]
    return mpp.x, mpp.y, mpp.source


@pytest.mark.parametrize(
    ("hints", "source"),
    [
        ({"own": (0.25, 0.25), "standard": (0.25, 0.25), "resolution": (0.5, 0.5)}, "file property"),
        ({"standard": (0.25, 0.25), "resolution": (0.5, 0.5)}, "OME metadata"),
        ({"standard": (0.25, 0.25), "standard_name": "DICOM"}, "DICOM metadata"),
        ({"resolution": (0.25, 0.25), "objective_power": 40}, "TIFF resolution"),
    ],
)
def test_chain(hints: dict[str, object], source: str) -> None:
    assert resolve(**hints) == (0.25, 0.25, source)


def test_override_wins_and_says_what_it_replaces() -> None:
    mpp = resolve_mpp(SLIDE, MppHints(own=(0.25, 0.25)), override=0.5)
    assert (mpp.x, mpp.y, mpp.estimated) == (0.5, 0.5, False)
    assert mpp.source == "given by the user"
    assert mpp.notes == ("--mpp 0.5 replaces 0.25 um/px that the file states",)


@pytest.mark.parametrize(
    ("hints", "note"),
    [
        ({"own": (0.5, 0.25)}, "--mpp 0.5 replaces 0.5 x 0.25 um/px that the file states"),
        ({"resolution": (0.25, 0.25)}, "--mpp 0.5 replaces 0.25 um/px that the file states"),
        ({"resolution": (353.0, 353.0), "objective_power": 80}, "0.5 um/px is unusual for a 80x objective"),
        ({"own": (0.5, 0.5), "objective_power": 80}, None),
        ({"resolution": (353.0, 353.0), "objective_power": 20}, None),
    ],
)
def test_override_says_where_the_file_says_otherwise(hints: dict[str, object], note: str | None) -> None:
    mpp = resolve_mpp(SLIDE, MppHints(**hints), override=0.5)  # pyright: ignore[reportArgumentType]
    assert mpp.notes == (() if note is None else (note,))


@pytest.mark.parametrize("value", [0.0, -0.5, 0.049, 5.1, float("nan"), float("inf")])
def test_implausible_override_is_wrong_usage(value: float) -> None:
    with pytest.raises(UsageError, match=r"--mpp .* implausible"):
        resolve_mpp(SLIDE, MppHints(own=(0.25, 0.25)), override=value)


@pytest.mark.parametrize("value", [0.05, 0.263, 5.0])
def test_plausible_limits_are_taken(value: float) -> None:
    assert resolve(own=(value, value))[0] == value


@pytest.mark.parametrize("key", ["own", "standard", "resolution"])
def test_implausible_file_names_the_way_out(key: str) -> None:
    with pytest.raises(MppError, match=r"slide\.tif says 0\.0465 um/px .*pass --mpp"):
        resolve(**{key: (0.0465, 0.0465)})


def test_missing_names_the_option() -> None:
    with pytest.raises(MppError, match=r"slide\.tif does not say .* pass it with --mpp"):
        resolve()


@pytest.mark.parametrize("power", [None, 40])
def test_missing_names_the_place_to_look_and_no_number_to_copy(power: float | None) -> None:
    with pytest.raises(MppError, match=r"where the slide was scanned .* a wrong one makes") as caught:
        resolve(objective_power=power)
    assert re.search(r"--mpp \d", str(caught.value)) is None


def test_objective_power_only_on_request() -> None:
    hints = MppHints(objective_power=40)
    with pytest.raises(MppError, match=r"only 40x: --allow-estimated-mpp takes 0\.25; or look"):
        resolve_mpp(SLIDE, hints)
    mpp = resolve_mpp(SLIDE, hints, allow_estimated=True)
    assert (mpp.x, mpp.source, mpp.estimated) == (0.25, "objective power", True)
    assert mpp.notes == ("0.25 um/px is estimated from 40x",)


def test_a_stated_size_is_never_estimated() -> None:
    mpp = resolve_mpp(SLIDE, MppHints(own=(0.26, 0.26), objective_power=40), allow_estimated=True)
    assert (mpp.x, mpp.estimated) == (0.26, False)


def test_contradiction_of_property_and_standard() -> None:
    with pytest.raises(MppError, match=r"contradicts itself: 0\.25 um/px .* 0\.5 um/px in its OME metadata"):
        resolve(own=(0.25, 0.25), standard=(0.5, 0.5))
    # A near miss is rounding.
    assert resolve(own=(0.2527, 0.2527), standard=(0.25, 0.25))[0] == 0.2527


@pytest.mark.parametrize(("said", "true", "factor"), [(0.0465, 0.465, "10"), (0.0984252, 0.25, "2.54")])
def test_resolution_unit_trap_is_named_not_applied(said: float, true: float, factor: str) -> None:
    with pytest.raises(MppError, match=rf"a factor of {factor}, would make it {true:.3g}"):
        resolve(resolution=(said, said), objective_power=10 / true)


def test_unit_trap_without_objective_is_caught_where_implausible() -> None:
    with pytest.raises(MppError, match=r"a factor of 10, would make it 0\.465"):
        resolve(resolution=(0.0465, 0.0465))


@pytest.mark.parametrize("dpi", [72, 96, 150, 300])
def test_screen_resolution_is_no_pixel_size(dpi: int) -> None:
    size = resolution_um((dpi, dpi), "inch")
    with pytest.raises(MppError, match="does not say"):
        resolve(resolution=size)


def test_resolution_units() -> None:
    assert resolution_um((20_000, 40_000), "centimeter") == (0.5, 0.25)
    assert resolution_um((50_800, 50_800), "inch") == (0.5, 0.5)
    assert resolution_um((20_000, 20_000), "none") is None
    assert resolution_um((0, 20_000), "inch") is None


def test_oblong_pixels() -> None:
    mpp = resolve_mpp(SLIDE, MppHints(own=(0.25, 0.27)))
    assert (mpp.x, mpp.y) == (0.25, 0.27)
    assert mpp.notes == ("pixels are 0.25 x 0.27 um",)
    with pytest.raises(MppError, match="that oblong"):
        resolve(own=(0.25, 0.6))


def test_unusual_objective_is_noted() -> None:
    mpp = resolve_mpp(SLIDE, MppHints(own=(0.25, 0.25), objective_power=20))
    assert mpp.notes == ("0.25 um/px is unusual for a 20x objective",)
