"""Models from public hubs, asked for by their place: `hf:OWNER/NAME[@REVISION]` or `zenodo:ID`.

Nothing here runs unless somebody names such a place. A model is looked up first (license, terms of access,
files, checksums), then downloaded into the folder of models, checked against what the hub and its card say,
and known by its name from then on, without a network.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from histome.errors import ModelError, UsageError
from histome.models.card import CARD_NAME, ZOO, Card, load_card, models_folder, write_card
from histome.models.staging import staged_in

_PLACE = re.compile(r"(?:hf:(?P<hf>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?|zenodo:(?P<zenodo>\d+))")
_HUGGING_FACE, _ZENODO = "https://huggingface.co", "https://zenodo.org"
# Seconds without an answer, and the most that a hub's description may hold.
_PATIENCE_S, _LONGEST_ANSWER = 60, 20_000_000
_BLOCK = 1 << 20

Told = Callable[[str], object]


class RemoteFile(NamedTuple):
    """One file of a model: where it is, its bytes and its checksum, "sha256:..." or "md5:...", "" unknown."""

    name: str
    url: str
    size: int
    checksum: str


class Offer(NamedTuple):
    """What a hub says of a model before anything is downloaded.

    Attributes
    ----------
    place : str
        With the revision that its files are of: `hf:OWNER/NAME@SHA` or `zenodo:ID`.
    license, access : str
        As the hub words them; `access` is "open", or who gives it.
    """

    place: str
    license: str
    access: str
    files: tuple[RemoteFile, ...]

    @property
    def megabytes(self) -> float:
        """Size of what is downloaded."""
        return sum(file.size for file in self.files) / 1e6


def look_up(place: str) -> Offer:
    """Ask a hub for a model's license, terms of access and files.

    HF_ENDPOINT and ZENODO_ENDPOINT name mirrors, HF_TOKEN is sent to Hugging Face.

    Raises
    ------
    UsageError
        No place of a hub.
    ModelError
        No network, no such model, no access to it, or an answer that is none.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        raise UsageError(f"{place}: give hf:OWNER/NAME, hf:OWNER/NAME@REVISION or zenodo:ID")
    try:
        return (
            _of_zenodo(found["zenodo"])
            if found["zenodo"]
            else _of_hugging_face(found["hf"], found["revision"])
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{place}: the hub's answer does not describe a model ({error!r})") from error


def download(offer: Offer, told: Told = lambda line: None) -> Card:
    """Download a model into the folder of models and return its card; `told` gets a line a file.

    The card keeps the place, license and terms of access under `source`. Where anything fails, nothing is
    left behind.

    Raises
    ------
    ModelError
        No card among the files, a checksum that differs, a name that is taken, no access.
    """
    wanted = _files_of_model(offer)
    with staged_in(models_folder()) as staging:
        for file in wanted:
            told(f"{file.name}  {file.size / 1e6:.1f} MB")
            fetch_file(offer, file, staging / file.name)
        card = load_card(staging)
        _check_weights(card, offer)
        home = _free_home(models_folder(), card.name)
        source = {"place": offer.place, "license": offer.license, "access": offer.access}
        write_card(card.model_copy(update={"source": source}), staging)
        staging.rename(home)
    return load_card(home)


def _of_hugging_face(name: str, revision: str | None) -> Offer:
    base = os.environ.get("HF_ENDPOINT", _HUGGING_FACE).rstrip("/")
    about = _answer(
        f"{base}/api/models/{name}/revision/{quote(revision or 'main', safe='')}?blobs=true", f"hf:{name}"
    )
    told, sha = about.get("cardData") or {}, about["sha"]
    files = tuple(
        RemoteFile(
            each["rfilename"],
            f"{base}/{name}/resolve/{sha}/{quote(each['rfilename'])}",
            int(each.get("size") or 0),
            f"sha256:{each['lfs']['sha256']}" if each.get("lfs") else "",
        )
        for each in about["siblings"]
    )
    gated = about.get("gated")
    terms = " ".join(str(told.get("extra_gated_prompt") or "").split())
    access = f"asked for at {base}/{name} ({gated} approval) {terms}".strip() if gated else "open"
    return Offer(f"hf:{name}@{sha}", _license_of(told), access, files)


def _license_of(told: dict[str, Any]) -> str:
    name, link = (str(told.get(key) or "") for key in ("license", "license_link"))
    return " ".join(filter(None, (str(told.get("license_name") or "") or name, link))) or "not stated"


def _of_zenodo(number: str) -> Offer:
    base = os.environ.get("ZENODO_ENDPOINT", _ZENODO).rstrip("/")
    about = _answer(f"{base}/api/records/{number}", f"zenodo:{number}")
    told = about["metadata"]
    files = tuple(
        RemoteFile(each["key"], each["links"]["self"], int(each["size"]), str(each.get("checksum") or ""))
        for each in about["files"]
    )
    license_ = (told.get("license") or {}).get("id", "not stated")
    return Offer(f"zenodo:{number}", license_, told.get("access_right", "open"), files)


def _files_of_model(offer: Offer) -> list[RemoteFile]:
    """Return the card, the ONNX files and what else their weights may lie in; never code."""
    named = {file.name: file for file in offer.files}
    if CARD_NAME not in named:
        raise ModelError(
            f"{offer.place}: holds no {CARD_NAME}, so it is no model of histome's; download its weights "
            "and make one of them: histome models import"
        )
    return [
        file
        for name, file in named.items()
        if "/" not in name and name.endswith((CARD_NAME, ".onnx", ".data"))
    ]


def _check_weights(card: Card, offer: Offer) -> None:
    for name, wanted in {card.weights: card.sha256, **card.external}.items():
        path = card.weights_path.with_name(name)
        if not path.is_file():
            raise ModelError(f"{offer.place}: its card names {name}, which is not among its files")
        if (found := _digest(path, "sha256")) != wanted:
            raise ModelError(f"{offer.place}: {name} has the sha256 {found}, its card says {wanted}")


def _free_home(folder: Path, name: str) -> Path:
    home = folder / name
    if (ZOO / name).is_dir() or home.exists():
        raise ModelError(f"{name}: there is a model of this name ({home}); remove it first")
    return home


def fetch_file(offer: Offer, file: RemoteFile, path: Path) -> None:
    """Download one file of an offer; raises ModelError where its size or checksum is not the hub's."""
    request = _request(file.url)
    with _plain_errors(offer.place), urlopen(request, timeout=_PATIENCE_S) as answer, path.open("wb") as out:
        shutil.copyfileobj(answer, out, _BLOCK)
    if path.stat().st_size != file.size:
        raise ModelError(
            f"{offer.place}: {file.name} has {path.stat().st_size} bytes of {file.size}; try again"
        )
    kind, _, wanted = file.checksum.partition(":")
    if wanted and (found := _digest(path, kind)) != wanted:
        raise ModelError(f"{offer.place}: {file.name} has the {kind} {found}, the hub says {wanted}")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _answer(url: str, place: str) -> dict[str, Any]:
    with _plain_errors(place), urlopen(_request(url), timeout=_PATIENCE_S) as answer:
        text = answer.read(_LONGEST_ANSWER)
    try:
        return dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{place}: the hub's answer is no JSON; is there a login page before it?") from error


def _request(url: str) -> Request:
    """Ask for a URL; the token goes to Hugging Face alone, and not on to where it redirects."""
    request = Request(url, headers={"User-Agent": "histome"})
    base = os.environ.get("HF_ENDPOINT", _HUGGING_FACE).rstrip("/")
    if (token := os.environ.get("HF_TOKEN")) and url.startswith(f"{base}/"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


@contextmanager
def _plain_errors(place: str) -> Iterator[None]:
    """Turn what a network may raise into one line."""
    try:
        yield
    except HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise ModelError(
                f"{place}: no access (HTTP {error.code}): agree to its terms on its page, then set HF_TOKEN"
            ) from error
        what = "there is no such model" if error.code == 404 else f"the hub answers with HTTP {error.code}"
        raise ModelError(f"{place}: {what}") from error
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(
            f"{place}: the hub cannot be reached ({reason}); copy the model into {models_folder()} yourself"
        ) from error
