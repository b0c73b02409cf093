"""What the cells table says of a cell and what the metrics compute of it are one: each is computed twice."""

import numpy as np
from helpers.cells import LABEL
from helpers.scenes import CODE, patchwork, random_cells

from histome.cells.table import NEIGHBOR_RADII_UM, carcinoma_distance, class_codes
from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES
from histome.geometry.grid import neighbor_counts
from histome.metrics.distances import to_carcinoma
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import Specimen, cells_as_arrays
from histome.metrics.surroundings import in_tissues


def test_distances_to_carcinoma_agree(rng):
    tissue = patchwork(rng)
    specimen = Specimen(make_tissue_maps(tissue), cells_as_arrays(random_cells(rng, 400), tissue))
    inside = tissue.at(specimen.cells.x_um, specimen.cells.y_um) > 0
    kept = carcinoma_distance(specimen.cells.x_um, specimen.cells.y_um, tissue)
    assert inside.sum() > 200
    np.testing.assert_array_equal(to_carcinoma(specimen)[inside], kept[inside])


def test_neighbors_agree(rng):
    tissue, cells = patchwork(rng), random_cells(rng, 3000, side_um=600.0)
    x_um, y_um, codes = cells["x_um"].to_numpy(), cells["y_um"].to_numpy(), class_codes(cells)
    kept = neighbor_counts(x_um, y_um, codes, radii_um=NEIGHBOR_RADII_UM)
    around = in_tissues(Specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue)))
    place = tissue.at(x_um, y_um)
    for p, name in enumerate(NUCLEATED_TISSUES):
        for center in range(len(CELL_CLASSES)):
            centers = kept[(place == CODE[name]) & (codes == center)]
            with_neighbor = (centers > 0).sum(axis=0)  # (radius, neighbor)
            np.testing.assert_array_equal(around.with_neighbor[:, center, p].T, with_neighbor)
    assert kept[codes == LABEL["LYMPHOCYTE"]].sum() > 100
