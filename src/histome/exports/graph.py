"""The graph of the cells: who lies beside whom, for networkx, igraph, Gephi and torch-geometric."""

import json
from pathlib import Path
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import Delaunay, KDTree, QhullError

from histome.cells.table import class_codes, counted_cells
from histome.classes import CELL_CLASSES
from histome.exports.place import Place, place_of
from histome.store.profile import Profile

# Two cells farther apart are no neighbors, however empty it is between them.
LONGEST_EDGE_UM = 50.0
_FEATURES = ("confidence", "area_um2", "roundness", "eccentricity", "hematoxylin_od_mean", "eosin_od_mean")


class CellGraph(NamedTuple):
    """Counted cells and the pairs that are neighbors.

    Attributes
    ----------
    cell_id : (n,) int64
    code : (n,) int64
        Place of the class in CELL_CLASSES.
    position_um : (n, 2) float64, um
        x, y.
    edges : (m, 2) int64
        Rows of two neighbors, the lower first, each pair once, in order.
    length_um : (m,) float64, um
        Between their centers.
    """

    cell_id: NDArray[np.int64]
    code: NDArray[np.int64]
    position_um: NDArray[np.float64]
    edges: NDArray[np.int64]
    length_um: NDArray[np.float64]


def cell_graph(
    cells: pa.Table, kind: Literal["delaunay", "radius"] = "delaunay", *, longest_um: float = LONGEST_EDGE_UM
) -> CellGraph:
    """Return the graph of the counted cells: Delaunay's edges up to a length, or all pairs within it."""
    cells = counted_cells(cells)
    position = np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1)
    edges = _delaunay(position) if kind == "delaunay" else _within(position, longest_um)
    length = np.hypot(*(position[edges[:, 0]] - position[edges[:, 1]]).T)
    near = length <= longest_um
    ids = cells["cell_id"].to_numpy().astype(np.int64)
    return CellGraph(ids, class_codes(cells), position, edges[near], length[near])


def _delaunay(position: NDArray[np.float64]) -> NDArray[np.int64]:
    try:
        corners = Delaunay(position).simplices
    except (QhullError, ValueError):  # fewer than three points, or all on one line: each with the next
        order = np.lexsort(position.T)
        return _sorted(np.stack([order[:-1], order[1:]], axis=1))
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    return _sorted(pairs)


def _within(position: NDArray[np.float64], radius_um: float) -> NDArray[np.int64]:
    if not len(position):
        return np.empty((0, 2), np.int64)
    return _sorted(KDTree(position).query_pairs(radius_um, output_type="ndarray"))


def _sorted(pairs: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.unique(np.sort(pairs.astype(np.int64), axis=1), axis=0).reshape(-1, 2)


def write_graph(profile: Profile, folder: Path) -> None:
    """Write cells.graphml, and cells.npz with the arrays that torch-geometric's Data takes.

    In the latter x (n, features), pos (n, 2) um, y (n,) classes, edge_index (2, 2 m) both ways, edge_attr
    (2 m, 1) um, edge_type (2 m,) the class of its end, cell_id, and the names of features and classes.
    """
    folder.mkdir(parents=True)
    graph, place = cell_graph(profile.cells), place_of(profile)
    write_graphml(graph, folder / "cells.graphml", place)
    both = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    cells = counted_cells(profile.cells)
    features = [cells[name].cast(pa.float32()).to_numpy() for name in _FEATURES]
    np.savez_compressed(
        folder / "cells.npz",
        x=np.stack(features, axis=1),
        pos=graph.position_um,
        y=graph.code,
        edge_index=np.ascontiguousarray(both.T),
        edge_attr=np.tile(graph.length_um, 2)[:, None].astype(np.float32),
        edge_type=graph.code[both[:, 1]],
        cell_id=graph.cell_id,
        feature_names=np.array(_FEATURES),
        class_names=np.array(CELL_CLASSES),
        px_to_um=np.array(place.px_to_um),
    )


def write_graphml(graph: CellGraph, path: Path, place: Place) -> None:
    """Write GraphML: class and place in um of each node, length and the two classes of each edge."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        )
        file.write(f"<desc>{escape(json.dumps(place.told()))}</desc>\n")
        for name, whose, kind in (
            *(("class", "node", "string"), ("x_um", "node", "double"), ("y_um", "node", "double")),
            *(("length_um", "edge", "double"), ("type", "edge", "string")),
        ):
            file.write(f'<key id="{name}" for="{whose}" attr.name="{name}" attr.type="{kind}"/>\n')
        file.write('<graph id="cells" edgedefault="undirected">\n')
        for number, code, (x, y) in zip(
            graph.cell_id.tolist(), graph.code.tolist(), graph.position_um.tolist(), strict=True
        ):
            file.write(
                f'<node id="{number}"><data key="class">{CELL_CLASSES[code]}</data>'
                f'<data key="x_um">{x:.3f}</data><data key="y_um">{y:.3f}</data></node>\n'
            )
        ends, codes = graph.cell_id[graph.edges].tolist(), np.sort(graph.code[graph.edges], axis=1).tolist()
        for (one, other), (first, second), length in zip(ends, codes, graph.length_um.tolist(), strict=True):
            file.write(
                f'<edge source="{one}" target="{other}"><data key="length_um">{length:.3f}</data>'
                f'<data key="type">{CELL_CLASSES[first]}-{CELL_CLASSES[second]}</data></edge>\n'
            )
        file.write("</graph>\n</graphml>\n")
