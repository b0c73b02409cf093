"""What the page asks for, as addresses; every answer is made from one profile's own parts."""

from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from histome.errors import HistomeError
from histome.render.palette import legend
from histome.viewer.correcting import (
    ExcludeAsked,
    RelabelAsked,
    UndoAsked,
    exclude,
    relabel,
    told_edits,
    undo,
)
from histome.viewer.doubts import least_certain, least_certain_squares
from histome.viewer.measures import Measures, outline_of
from histome.viewer.packing import (
    OUTLINES_SIDE,
    describe_cell,
    pack_cells,
    pack_kinds,
    pack_outlines,
)
from histome.viewer.shelf import Shelf
from histome.viewer.tiles import PICTURE_PX, TilePlace
from histome.viewer.view import SlideView

_PAGE = files("histome.viewer") / "page"
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "txt": "text/plain"}
_BYTES = "application/octet-stream"


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MetricsAsked(_Asked):
    """Which numbers: those that words find, of a region (GeoJSON, in the viewer's unit) or of the slide."""

    words: list[Annotated[str, Field(max_length=100)]] = Field(default=[], max_length=8)
    region: dict[str, Any] | None = None


class HeatAsked(_Asked):
    """A metric in tiles of a size such as 500um."""

    metric: str = Field(max_length=200)
    tile: str = Field(max_length=20)


def viewer_app(shelf: Shelf) -> FastAPI:
    """Return the application; who may ask it is not its business, see `viewer.guard`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    answers = _Answers(shelf)
    for path, answer in answers.got().items():
        app.add_api_route(path, answer, methods=["GET"], response_model=None)
    for path, answer in answers.posted().items():
        app.add_api_route(path, answer, methods=["POST"], response_model=None)
    app.add_exception_handler(KeyError, _not_here)
    app.add_exception_handler(HistomeError, _refused)
    return app


def _not_here(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"not here: {error}"}, 404)


def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


class _Answers:
    """The answers by address; a KeyError says that there is nothing, a HistomeError why not."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._measures = lru_cache(4)(Measures)

    def got(self) -> dict[str, Any]:
        """Return what is read: address -> answer."""
        return {
            "/": lambda: _page_file("index.html"),
            "/page/{name}": _page_file,
            "/slides": self._shelf.entries,
            "/slides/{key}": self.slide,
            "/slides/{key}/image/{level}/{column}/{row}": self.image,
            "/slides/{key}/map/{name}/{level}/{column}/{row}": self.overlay,
            "/slides/{key}/cells": self.cells,
            "/slides/{key}/cells/{row}": self.cell,
            "/slides/{key}/kinds": self.kinds,
            "/slides/{key}/outlines/{column}/{row}": self.outlines,
            "/slides/{key}/edits": self.edits,
            "/slides/{key}/queue/cells": self.cell_queue,
            "/slides/{key}/queue/regions": self.region_queue,
        }

    def posted(self) -> dict[str, Any]:
        """Return what is asked with a body: address -> answer."""
        return {
            "/slides/{key}/metrics": self.metrics,
            "/slides/{key}/heat": self.heat,
            "/slides/{key}/relabel": self.relabel,
            "/slides/{key}/exclude": self.exclude,
            "/slides/{key}/undo": self.undo,
        }

    def slide(self, key: str) -> dict[str, Any]:
        """Return what the page must know before it draws a slide."""
        return _about(self._shelf.view(key))

    def image(self, key: str, level: int, column: int, row: int) -> Response:
        """Return a tile of the slide."""
        return Response(self._shelf.view(key).image_tile(level, column, row), media_type="image/jpeg")

    def overlay(
        self, key: str, name: str, level: int, column: int, row: int, shown: int = 255, lines: bool = False
    ) -> Response:
        """Return a tile of a map."""
        view = self._shelf.view(key)
        place = TilePlace.of(level, column, row, view.size)
        return Response(view.overlay_tile(name, place, shown, lines=lines), media_type="image/png")

    def cells(self, key: str) -> Response:
        """Return all cells, see `viewer.packing`."""
        return Response(pack_cells(self._shelf.view(key)), media_type=_BYTES)

    def outlines(self, key: str, column: int, row: int) -> Response:
        """Return the outlines in a square, see `viewer.packing`."""
        return Response(pack_outlines(self._shelf.view(key), column, row), media_type=_BYTES)

    def cell(self, key: str, row: int) -> dict[str, Any]:
        """Return a cell's row and probabilities."""
        return describe_cell(self._shelf.view(key), row)

    def metrics(self, key: str, asked: Annotated[MetricsAsked, Body()]) -> dict[str, Any]:
        """Return metrics of the slide or of a region."""
        view = self._shelf.view(key)
        outline = None if asked.region is None else outline_of(asked.region, view.unit_um)
        return self._measures(view, len(view.edits)).rows(asked.words, outline)

    def heat(self, key: str, asked: Annotated[HeatAsked, Body()]) -> dict[str, Any]:
        """Return a metric in tiles."""
        view = self._shelf.view(key)
        return self._measures(view, len(view.edits)).heat(asked.metric, asked.tile)

    def kinds(self, key: str) -> Response:
        """Return what a correction may change of all cells, see `viewer.packing`."""
        return Response(pack_kinds(self._shelf.view(key)), media_type=_BYTES)

    def edits(self, key: str) -> dict[str, Any]:
        """Return what people corrected."""
        return told_edits(self._shelf.view(key))

    def cell_queue(self, key: str, most: int = 200) -> list[int]:
        """Return the rows of the least certain cells."""
        return least_certain(self._shelf.view(key), min(max(most, 0), 5000))

    def region_queue(self, key: str, most: int = 50) -> list[dict[str, Any]]:
        """Return the least certain squares."""
        return least_certain_squares(self._shelf.view(key), min(max(most, 0), 5000))

    def relabel(self, key: str, asked: Annotated[RelabelAsked, Body()]) -> dict[str, Any]:
        """Give cells another class and return the edits."""
        relabel(self._shelf.view(key), asked)
        return self.edits(key)

    def exclude(self, key: str, asked: Annotated[ExcludeAsked, Body()]) -> dict[str, Any]:
        """Exclude a region and return the edits."""
        exclude(self._shelf.view(key), asked)
        return self.edits(key)

    def undo(self, key: str, asked: Annotated[UndoAsked, Body()]) -> dict[str, Any]:
        """Undo an edit and return the edits."""
        undo(self._shelf.view(key), asked)
        return self.edits(key)


def _page_file(name: str) -> Response:
    """Return a file of the page; raises KeyError for any other name."""
    if name not in {path.name for path in _PAGE.iterdir()}:
        raise KeyError(name)
    kind = _KINDS[name.rpartition(".")[2]]
    return Response((_PAGE / name).read_bytes(), media_type=f"{kind}; charset=utf-8")


def _about(view: SlideView) -> dict[str, Any]:
    counts = dict(zip((entry["key"] for entry in legend("cells")), view.counts(), strict=True))
    return {
        "name": view.name,
        "command": view.command,
        "missing": view.missing,
        "size": view.size,
        "mpp": view.mpp,
        "tile": PICTURE_PX,
        "levels": view.levels,
        "outlines": OUTLINES_SIDE,
        "cells": int(sum(view.counts())),
        "classes": [{**entry, "count": counts[entry["key"]]} for entry in legend("cells")],
        "maps": {name: _map_legend(name, found.classes) for name, found in view.maps.items()},
        "shares": view.shares,
        "warnings": [each._asdict() for each in view.profile.warnings],
    }


def _map_legend(name: str, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return color and label of each class that is drawn, with the bit that stands for it."""
    return [{**entry, "bit": classes.index(entry["key"])} for entry in legend(name)]
