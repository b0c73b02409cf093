"""What could this n have shown? The smallest effect that would have been found four times in five."""

import numpy as np
from scipy.special import ndtr, ndtri

POWER = 0.8
_ALPHA = 0.05


def smallest_shift_sd(sizes: tuple[int, int], tests: int = 1) -> float:
    """Return the smallest shift between two groups, in SD, that the rank test finds with a power of 0.8.

    At a two-sided 0.05 over the tests (Bonferroni, stricter than the q that is reported); of normal values,
    on which the test needs pi / 3 times the patients of the t test.
    """
    z = ndtri(1 - _ALPHA / 2 / tests) + ndtri(POWER)
    return float(z * np.sqrt((1 / sizes[0] + 1 / sizes[1]) * np.pi / 3))


def smallest_hazard_ratio(events: int, tests: int = 1) -> float:
    """Return the smallest hazard ratio per SD that this many events show with a power of 0.8, two-sided 0.05.

    Schoenfeld 1983 (doi:10.2307/2531021) for a number with SD 1 (Hsieh and Lavori 2000): events x log(HR)^2 =
    (z_alpha + z_power)^2.
    """
    z = ndtri(1 - _ALPHA / 2 / tests) + ndtri(POWER)
    return float(np.exp(z / np.sqrt(events)))


def superiority_of(shift_sd: float) -> float:
    """Return the probability of superiority of normal values that lie so many SD apart."""
    return float(ndtr(shift_sd / np.sqrt(2)))


def power_note(sizes: tuple[int, int], tests: int) -> str:
    """Return the note of a comparison of two groups."""
    one, all_of_them = (smallest_shift_sd(sizes, each) for each in (1, tests))
    chance = [round(100 * superiority_of(each)) for each in (one, all_of_them)]
    every = f"; of all {tests} numbers at once, {all_of_them:.2f} SD ({chance[1]} of 100)"
    return (
        f"What {sizes[0]} against {sizes[1]} could have shown, four times in five: of a single number, a "
        f"shift of {one:.2f} SD (one of the higher group lies above one of the other in {chance[0]} of 100 "
        f"pairs){every if tests > 1 else ''}. A smaller difference may well be there and not be seen here: "
        "no finding is no proof that groups are alike."
    )
