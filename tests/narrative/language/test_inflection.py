"""Forms of words: American spelling, plurals, verbs."""

import pytest

from histome.narrative.language.inflection import american, plural, verb_forms


@pytest.mark.parametrize(
    ("british", "spelled"),
    [
        ("tumours", "tumors"),
        ("localised", "localized"),
        ("analysed", "analyzed"),
        ("analysis", "analysis"),
        ("micrometres", "micrometers"),
        ("labelled", "labeled"),
        ("comprised", "comprised"),
        ("increases", "increases"),
        ("rises", "rises"),
    ],
)
def test_british_words_are_read_as_american(british: str, spelled: str) -> None:
    assert american(british) == spelled


def test_plurals() -> None:
    assert [plural(word) for word in ("nucleus", "focus", "density", "mass", "cell")] == [
        "nuclei",
        "foci",
        "densities",
        "masses",
        "cells",
    ]


def test_a_verb_comes_in_all_its_forms() -> None:
    assert set(verb_forms("account for", {})) == {
        "account for",
        "accounts for",
        "accounted for",
        "accounting for",
    }
    assert set(verb_forms("take up", {"take": "took taken"})) >= {
        "takes up",
        "took up",
        "taken up",
        "taking up",
    }
    assert set(verb_forms("occupy", {})) == {"occupy", "occupies", "occupied", "occupying"}
