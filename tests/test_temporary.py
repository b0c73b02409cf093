"""What waits in the temporary folder: gone with its owner, and a full disk told in one line by what it is."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from histome import temporary
from histome.cells.filed import NucleiFile
from histome.cells.rows import CellRows
from histome.errors import Interrupted, OutputError
from histome.geotable import FiledTable
from histome.metrics.specimen import FiledRows
from histome.slide.maps import ProbabilityMap

MPP = np.array([0.5, 0.5])
ROOM = "make room there, or name another in the variable TMPDIR"


class Owner:
    pass


def cells() -> CellRows:
    table = pa.table({"x": [1.0]})
    return CellRows(iter([table]), table.schema, NucleiFile(MPP), np.zeros(1, np.int64))


def distances() -> FiledRows:
    return FiledRows(iter([np.zeros(3)]))


def columns() -> FiledTable:
    return FiledTable(iter([pa.table({"x": [1.0]})]))


def probabilities() -> ProbabilityMap:
    return ProbabilityMap.empty((4, 4), 2.0, ("a", "b"))


@pytest.mark.parametrize("keep", [cells, distances, columns])
def test_a_full_disk_is_one_line(keep: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there, and takes nothing."""

    def full(**_: object) -> object:
        return open("/dev/full", "wb")

    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full here")
    monkeypatch.setattr(temporary, "TemporaryFile", full)
    with pytest.raises(OutputError) as told:
        keep()
    said = f"the {keep.__name__}" if keep is cells else keep.__name__
    assert str(told.value) == (
        f"{said} cannot be kept in the temporary folder (No space left on device); {ROOM}"
    )


@pytest.mark.parametrize("keep", [lambda: NucleiFile(MPP), distances, probabilities])
def test_no_folder_for_temporary_files_is_one_line(
    keep: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> object:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(temporary, "TemporaryFile", refuse)
    monkeypatch.setattr("histome.slide.maps.TemporaryDirectory", refuse)
    with pytest.raises(OutputError, match=rf"\(No such file or directory\); {ROOM}"):
        keep()


def test_a_folder_is_gone_where_a_signal_cuts_its_removal_off(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, owner = TemporaryDirectory(), Owner()
    (Path(folder.name) / "file").touch()
    temporary.remove_with(owner, folder)
    remove, stops = TemporaryDirectory._rmtree, iter([Interrupted(15)])  # pyright: ignore[reportAttributeAccessIssue]

    def cut_off(name: str, **given: object) -> None:
        for stop in stops:
            raise stop
        remove(name, **given)

    seen: list[object] = []
    monkeypatch.setattr(TemporaryDirectory, "_rmtree", staticmethod(cut_off))
    monkeypatch.setattr("sys.unraisablehook", lambda what: seen.append(what.exc_type))
    del owner
    assert seen == [Interrupted]
    assert not Path(folder.name).exists()
