"""Models from hubs: a server of this process answers as Hugging Face and Zenodo do."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.cli import Cli
from helpers.tiny_models import stardist_model

from histome.errors import HistomeError, ModelError, UsageError
from histome.models.card import load_card
from histome.models.hub import download, look_up
from histome.models.registry import find_model

SHA = "5" * 40


class Hub:
    """Pages by path, what was asked for, and with which token."""

    def __init__(self, url):
        self.url, self.pages, self.asked, self.tokens = url, {}, [], set()

    def hold(self, files, **about):
        """Hold the files of acme/cells and of record 77; `about` is what Hugging Face says besides."""
        siblings, records = [], []
        for name, content in files.items():
            sha = hashlib.sha256(content).hexdigest()
            siblings.append({"rfilename": name, "size": len(content), "lfs": {"sha256": sha}})
            link = f"{self.url}/api/records/77/files/{name}/content"
            md5 = hashlib.md5(content).hexdigest()
            records.append(
                {"key": name, "size": len(content), "checksum": f"md5:{md5}", "links": {"self": link}}
            )
            self.pages[f"/acme/cells/resolve/{SHA}/{name}"] = content
            self.pages[f"/api/records/77/files/{name}/content"] = content
        said = {"sha": SHA, "siblings": siblings, "cardData": {"license": "cc-by-nc-4.0"}} | about
        self.pages["/api/models/acme/cells/revision/main?blobs=true"] = json.dumps(said).encode()
        told = {"license": {"id": "cc-by-4.0"}, "access_right": "open"}
        self.pages["/api/records/77"] = json.dumps({"metadata": told, "files": records}).encode()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hub.asked.append(self.path)
            hub.tokens.add(self.headers.get("Authorization"))
            page = hub.pages.get(self.path, 404)
            if isinstance(page, int):
                self.send_error(page)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("ZENODO_ENDPOINT", hub.url)
    monkeypatch.setenv("HISTOME_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def files(tmp_path):
    card = stardist_model(tmp_path / "made")
    folder = card.weights_path.parent
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"setup.py": b"print('never')"}


@pytest.mark.parametrize(
    ("place", "license_"), [("hf:acme/cells", "cc-by-nc-4.0"), ("zenodo:77", "cc-by-4.0")]
)
def test_a_model_of_a_hub_is_known_by_its_name_and_keeps_its_license(hub, files, place, license_, tmp_path):
    hub.hold(files)
    offer = look_up(place)
    assert offer.license == license_
    assert not [path for path in hub.asked if "resolve" in path or "content" in path]
    card = download(offer)
    assert find_model(card.name).source["license"] == license_
    assert card.source["place"] == (f"hf:acme/cells@{SHA}" if place.startswith("hf") else place)
    assert sorted(path.name for path in card.weights_path.parent.iterdir()) == ["card.toml", "model.onnx"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == [card.name]


def test_a_gated_model_says_who_gives_access_and_the_token_goes_to_its_hub_alone(hub, files, monkeypatch):
    hub.hold(files, gated="manual", cardData={"license": "other", "extra_gated_prompt": "For\nresearch."})
    monkeypatch.setenv("HF_TOKEN", "secret")
    offer = look_up("hf:acme/cells")
    assert offer.access.endswith("(manual approval) For research.")
    assert hub.tokens == {"Bearer secret"}
    hub.tokens.clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    look_up("zenodo:77")
    assert hub.tokens == {None}


def _changed(hub, files, what):
    """Let one thing of a hub be wrong; return what the error says of it."""
    card = files["card.toml"].decode()
    if what == "gated":
        hub.hold(files)
        hub.pages[f"/acme/cells/resolve/{SHA}/model.onnx"] = 403
        return "no access"
    if what == "truncated":
        hub.hold(files)
        hub.pages[f"/acme/cells/resolve/{SHA}/model.onnx"] = files["model.onnx"][:-9]
        return "bytes of"
    if what == "changed":
        hub.hold(files)
        hub.pages[f"/acme/cells/resolve/{SHA}/model.onnx"] = bytes(len(files["model.onnx"]))
        return "the hub says"
    if what == "other weights":
        hub.hold(files | {"card.toml": card.replace('sha256 = "', 'sha256 = "' + "0" * 64 + '" #').encode()})
        return "its card says"
    if what == "no weights":
        hub.hold({"card.toml": files["card.toml"]})
        return "not among its files"
    if what == "no card":
        hub.hold({"weights.pth": b"0"})
        return "holds no card.toml"
    hub.hold(files | {"card.toml": card.replace('name = "', 'name = "nuclei" #', 1).encode()})
    return "there is a model of this name"


@pytest.mark.parametrize(
    "what",
    ["gated", "truncated", "changed", "other weights", "no weights", "no card", "a name that is taken"],
)
def test_what_is_wrong_is_one_line_and_nothing_is_left_behind(hub, files, what, tmp_path):
    said = _changed(hub, files, what)
    with pytest.raises(ModelError, match=said) as caught:
        download(look_up("hf:acme/cells"))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "models").glob("*"))
    assert not list((tmp_path / "models").glob(".*"))


@pytest.mark.parametrize(
    "page", [404, 500, b"<html>log in</html>", b"[]", b"{}", b'{"sha": 1, "siblings": 3}']
)
def test_an_answer_that_is_none_is_one_line(hub, page):
    hub.pages["/api/models/acme/cells/revision/main?blobs=true"] = page
    with pytest.raises(ModelError, match=r"^hf:acme/cells: "):
        look_up("hf:acme/cells")


def test_without_a_network_the_line_says_where_to_copy_the_model(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=f"copy the model into {tmp_path / 'models'}"):
        look_up("hf:acme/cells")


@pytest.mark.parametrize("place", ["acme/cells", "hf:acme", "hf:../..@x y", "zenodo:x", "file:///etc/passwd"])
def test_what_is_no_place_is_refused(hub, place):
    with pytest.raises(UsageError, match="zenodo:ID"):
        look_up(place)
    assert not hub.asked


def test_the_command_shows_the_license_and_downloads_only_when_told(hub, files, cli: Cli, tmp_path):
    hub.hold(files)
    code, out, _ = cli("models", "add", "hf:acme/cells")
    assert code == 2
    assert "license: cc-by-nc-4.0" in out
    assert not (tmp_path / "models").exists()
    assert cli("models", "add", "hf:acme/cells", "--yes")[0] == 0
    name = load_card(next((tmp_path / "models").iterdir())).name
    assert name in cli("models", "list")[1]
    hub.pages.clear()  # without the hub, the folder is enough
    assert "cc-by-nc-4.0" in cli("models", "show", name, "--toml")[1]
    assert cli("models", "add", "hf:acme/cells", "--yes")[0] == HistomeError.exit_code
