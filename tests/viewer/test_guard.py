"""Who may ask: nobody but this machine's own page with the token."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from histome.errors import OutputError
from histome.viewer import Server, Shelf
from histome.viewer.guard import MOST_BYTES, Guard

TOKEN = "secret-token"
HOST = "127.0.0.1:8000"


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI(openapi_url=None)

    @app.get("/thing")
    def thing() -> dict[str, int]:
        return {"a": 1}

    @app.post("/thing")
    def change(body: dict[str, int]) -> dict[str, int]:
        return body

    with TestClient(Guard(app, TOKEN, [HOST]), base_url=f"http://{HOST}") as client:
        yield client


def test_the_token_opens_and_nothing_else_does(client: TestClient) -> None:
    assert client.get(f"/{TOKEN}/thing").json() == {"a": 1}
    for path in (
        "/thing",
        "/wrong/thing",
        f"/{TOKEN}x/thing",
        "/",
        f"/{TOKEN}",
        f"//{TOKEN}/thing",
        "/\u00e9/thing",
    ):
        assert client.get(path).status_code == 403, path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:9", ""])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    """A name that was bound to 127.0.0.1 after the page was loaded."""
    assert client.get(f"/{TOKEN}/thing", headers={"host": host}).status_code == 421


def test_another_page_is_refused(client: TestClient) -> None:
    for origin, status in (("http://evil.example", 403), ("null", 403), (f"http://{HOST}", 200)):
        answer = client.post(f"/{TOKEN}/thing", json={"a": 2}, headers={"origin": origin})
        assert answer.status_code == status, origin


def test_a_form_of_another_page_changes_nothing(client: TestClient) -> None:
    assert client.post(f"/{TOKEN}/thing", data={"a": "2"}).status_code == 415
    headers = {"content-type": "application/json", "content-length": str(MOST_BYTES + 1)}
    assert client.post(f"/{TOKEN}/thing", content=b"{}", headers=headers).status_code == 413


def test_every_answer_says_what_a_page_may_do(client: TestClient) -> None:
    for path in (f"/{TOKEN}/thing", "/wrong"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")
        assert headers["cache-control"] == "no-store"


def test_the_server_answers_at_its_address_only(looked: Any) -> None:
    with Server(Shelf(looked.out)) as server:
        assert server.address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(server.address + "slides", timeout=20) as answer:
            assert json.load(answer)[0]["name"] == "drawn"
        port = server.address.split(":")[2].split("/")[0]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/slides", timeout=20)
        with pytest.raises(OutputError, match="--port"):
            Server(Shelf(looked.out), port=int(port))


def test_two_servers_have_two_tokens(looked: Any) -> None:
    with Server(Shelf(looked.out)) as one, Server(Shelf(looked.out)) as other:
        assert one.address.split("/")[3] != other.address.split("/")[3]
        assert len(one.address.split("/")[3]) >= 32


def test_a_page_is_made_of_its_own_files(looked: Any) -> None:
    page = Path(__file__).parents[2] / "src/histome/viewer/page"
    text = (page / "index.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert "style=" not in text
    assert "onclick" not in text
    for path in page.glob("*.js"):
        if path.name != "deck.js":
            assert "innerHTML" not in path.read_text(encoding="utf-8")
