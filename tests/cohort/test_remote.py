"""Slides at addresses: a local server, copies in a bounded folder, and nothing fetched twice."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.clouds import cloud_of

from histome.cohort.remote import Cache, is_address, local_copy
from histome.errors import OutputError, SlideError

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


class Served:
    """A folder at an address, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []
        served = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                served.asked.append(self.path)
                super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "there").mkdir()
    for name in "abc":
        (tmp_path / "there" / f"{name}.svs").write_bytes(name.encode() * 400_000)
    served = Served(tmp_path / "there")
    yield served
    served.server.shutdown()
    served.server.server_close()


def copies(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.folder.glob("*/*.svs"))


def test_a_copy_is_fetched_once_and_again_when_the_source_changes(served: Served, tmp_path: Path) -> None:
    cache, address = Cache(tmp_path / "cache", 1.0), f"{served.address}/a.svs"
    for _ in range(2):
        with local_copy(address, cache) as path:
            assert path.read_bytes() == b"a" * 400_000
    (served.folder / "a.svs").write_bytes(b"A" * 400_001)
    with local_copy(address, cache) as path:
        assert path.read_bytes() == b"A" * 400_001
    assert copies(cache) == ["a.svs"]


def test_the_copies_stay_within_their_bound(served: Served, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 0.0009)  # room for two
    for number, name in enumerate("abc"):
        with local_copy(f"{served.address}/{name}.svs", cache) as path:
            os.utime(path.parent, (number, number))
    assert copies(cache) == ["b.svs", "c.svs"]
    with pytest.raises(OutputError, match=r"copies may have 0\.0001"):
        local_copy(f"{served.address}/a.svs", Cache(tmp_path / "small", 0.0001)).__enter__()


def test_one_in_use_is_not_removed(served: Served, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 0.0009)
    with local_copy(f"{served.address}/a.svs", cache) as kept:
        for name in "bc":
            with local_copy(f"{served.address}/{name}.svs", cache):
                assert kept.is_file()
    assert copies(cache) == ["a.svs", "c.svs"]


def test_a_known_slide_is_not_fetched(served: Served, tmp_path: Path) -> None:
    cache, address = Cache(tmp_path / "cache", 1.0), f"{served.address}/a.svs"
    with local_copy(address, cache) as path:
        path.unlink()
    with local_copy(address, cache, known=True) as path:
        assert not path.exists()
    (served.folder / "a.svs").write_bytes(b"A")
    with local_copy(address, cache, known=True) as path:
        assert path.read_bytes() == b"A"


def test_an_address_that_gives_nothing_is_one_line(served: Served, tmp_path: Path) -> None:
    for address in (f"{served.address}/no.svs", "http://127.0.0.1:9/a.svs", "nosuch://a/b.svs"):
        with (
            pytest.raises(SlideError, match="cannot be read") as caught,
            local_copy(address, Cache(tmp_path / "c", 1.0)),
        ):
            pass
        assert "\n" not in str(caught.value)


def test_what_an_address_is() -> None:
    assert all(map(is_address, ("s3://a/b.svs", "gs://a/b", "https://a/b", "git+ssh://a")))
    assert not any(map(is_address, ("/a/b.svs", "a.svs", "C:\\a.svs", "a b://c")))


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_a_bucket_is_read_once_and_again_when_its_object_changes(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false"
    )  # asks Google itself for kinds of buckets
    pytest.importorskip({"s3": "s3fs", "gs": "gcsfs"}[kind])
    from fsspec.config import conf

    file = tmp_path / "there" / "bucket" / "scans" / "a.svs"
    file.parent.mkdir(parents=True)
    cache, address = Cache(tmp_path / "cache", 0.01), f"{kind}://bucket/scans/a.svs"
    with cloud_of(tmp_path / "there") as (endpoint, sent):
        anonymous = {"s3": {"anon": True}, "gs": {"token": "anon"}}[kind]
        options = {**anonymous, "endpoint_url": endpoint, "skip_instance_cache": True}
        monkeypatch.setitem(conf, kind, options)
        for size in (9_000_000, 9_000_001):  # more than two blocks
            data = os.urandom(size)
            file.write_bytes(data)
            for known in (False, True):
                with local_copy(address, cache, known=known) as path:
                    assert path.read_bytes() == data
            assert sum(sent) == size
            sent.clear()
        with pytest.raises(SlideError, match="cannot be read"), local_copy(f"{kind}://bucket/no.svs", cache):
            pass
        with pytest.raises(OutputError, match=r"copies may have 0\.001"):
            local_copy(address, Cache(tmp_path / "small", 0.001)).__enter__()
