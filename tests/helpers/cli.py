"""The command line, run in this process."""

import pytest

from histome.cli import main


class Cli:
    """Runs the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        out, err = self._capsys.readouterr()
        return int(caught.value.code or 0), out, err

    def fails(self, *words: object, code: int, word: str) -> str:
        """Run, expect the exit code and exactly one line on stderr that holds `word`; return it."""
        found, out, err = self(*words)
        assert (found, out) == (code, ""), err
        assert err.startswith("histome: error: ")
        assert err.count("\n") == 1
        assert word in err
        return err
