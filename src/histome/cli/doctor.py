"""histome doctor: what is installed, and whether it works."""

from histome.cli import console


def doctor() -> int:
    """Check Python, libraries, models and processors."""
    from histome.checks import examine

    return console.say_findings(examine())
