from pathlib import Path

from histome.slide.fingerprint import SAMPLE_BYTES, of_file


def test_same_content_same_fingerprint_whatever_the_name(tmp_path: Path) -> None:
    for name in ("a.tif", "b.svs"):
        (tmp_path / name).write_bytes(b"slide" * 1000)
    assert of_file(tmp_path / "a.tif") == of_file(tmp_path / "b.svs")
    assert len(of_file(tmp_path / "a.tif")) == 64


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = bytearray(10 * SAMPLE_BYTES)
    path.write_bytes(data)
    before = of_file(path)
    data[5 * SAMPLE_BYTES + 77] = 1
    path.write_bytes(data)
    assert of_file(path) != before


def test_size_and_ends_of_large_files_count(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = bytearray(40 * SAMPLE_BYTES)
    prints = set()
    for change in (None, 0, len(data) - 1):
        changed = bytearray(data)
        if change is not None:
            changed[change] = 1
        path.write_bytes(changed)
        prints.add(of_file(path))
    path.write_bytes(data + b"\0")
    prints.add(of_file(path))
    assert len(prints) == 4


def test_files_beside_mrxs_and_dicom_count(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"one")
    before = of_file(tmp_path / "a.mrxs")
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"two")
    assert of_file(tmp_path / "a.mrxs") != before
    (tmp_path / "0.dcm").write_bytes(b"level 0")
    before = of_file(tmp_path / "0.dcm")
    (tmp_path / "1.dcm").write_bytes(b"level 1")
    assert of_file(tmp_path / "0.dcm") != before
