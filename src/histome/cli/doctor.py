"""histome doctor: what is installed, and whether it works."""

from histome.cli import console


def doctor() -> int:
    """Check Python, libraries, models and processors."""
    from histome.testing import examine

    findings = examine()
    for finding in findings:
        console.say(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.name:<22}{finding.text}")
    return 0 if all(finding.fine for finding in findings) else 1
