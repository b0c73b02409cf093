"""AnnData, SpatialData and OME-Zarr as their own libraries read them; run where those are installed.

anndata wants pandas under 3 and squidpy brings 1 GB, so the usual environment has neither: `make scverse`
runs these in one of their own. In processes of their own, for those libraries warn.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histome
from histome.exports import export_profile

SOURCE = Path(histome.__file__).parents[1]


def run(code, kept, folder, *libraries):
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    head = f"import histome\nprofile = histome.load_profile({str(kept.path)!r})\nfolder = {str(folder)!r}\n"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-W", "ignore", "-c", head + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_anndata_is_written_and_read(kept, tmp_path):
    run(
        """
import anndata, numpy as np
made = anndata.read_h5ad(profile.export("anndata", folder + "/cells.h5ad"))
assert len(made) == 108 and made.X.dtype == np.float32
assert {"area_um2", "p_lymphocyte", "hematoxylin_od_mean"} < set(made.var_names), set(made.var_names)
assert not {"cell_id", "x_um", "confidence", "class"} & set(made.var_names)
np.testing.assert_allclose(made.obsm["spatial"], made.obsm["spatial_px"] * [0.25, 0.5], atol=0.005)
affine = made.uns["histome"]["px_to_um"]
assert affine.tolist() == [[0.25, 0, 0], [0, 0.5, 0], [0, 0, 1]]
assert made.obs["class"].tolist() == profile.cells["class"].to_pylist()
assert made.var.loc["area_um2", "unit"] == "um2"
np.testing.assert_array_equal(made[:, "area_um2"].X[:, 0], profile.cells["area_um2"].to_numpy())
assert np.isfinite(made[:, "area_um2"].X).all()
""",
        kept,
        tmp_path,
        "anndata",
    )


def test_squidpy_computes_on_it(kept, tmp_path):
    run(
        """
import numpy as np, squidpy
made = profile.to_anndata()
squidpy.gr.spatial_neighbors(made, coord_type="generic", radius=27.0)
degree = np.asarray(made.obsp["spatial_connectivities"].sum(axis=1)).ravel()
assert degree.sum() == 2 * (11 * 9 + 12 * 8), degree.sum()  # a lattice of 25 um
squidpy.gr.nhood_enrichment(made, cluster_key="class", n_perms=20, seed=0, show_progress_bar=False)
assert made.uns["class_nhood_enrichment"]["zscore"].shape == (9, 9)
""",
        kept,
        tmp_path,
        "squidpy",
        "anndata",
    )


def test_spatialdata_is_written_and_read_in_um(kept, tmp_path):
    run(
        """
import numpy as np, spatialdata
read = spatialdata.read_zarr(profile.export("spatialdata", folder + "/s.zarr"))
assert set(read.coordinate_systems) == {"global", "um"}
assert read.attrs["histome"]["mpp"] == [0.25, 0.5]
um = read.transform_to_coordinate_system("um")["cells"]
np.testing.assert_allclose(um.geometry.centroid.x, profile.cells["x_um"].to_numpy(), atol=0.1)
np.testing.assert_allclose(um.geometry.area.sum(), profile.cells["area_um2"].to_numpy().sum(), rtol=5e-3)
assert set(read["tissue"]["class"]) == {"CARCINOMA", "STROMA", "VESSEL"}
assert (read["table"].obs["cell_id"].to_numpy() == read["cells"].index.to_numpy()).all()
""",
        kept,
        tmp_path,
        "spatialdata",
        "anndata",
    )


def test_ome_zarr_opens_with_the_reference_reader(kept, tmp_path):
    run(
        """
import numpy as np
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
path = profile.export("ome-zarr", folder + "/t.ome.zarr")
(node,) = Reader(parse_url(path))()
np.testing.assert_array_equal(np.asarray(node.data[0]), np.asarray(profile.tissue.probabilities.array[:]))
assert node.metadata["axes"][1] == {"name": "y", "type": "space", "unit": "micrometer"}
assert node.metadata["coordinateTransformations"][0][0]["scale"] == [1.0, 2.0, 2.0]
assert node.metadata["channel_names"][3] == "Stroma"
""",
        kept,
        tmp_path,
        "ome_zarr",
    )


def test_without_the_library_one_line_says_what_to_install(kept, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(Exception, match=r"anndata is not installed .* pip install 'histome\[scverse\]'"):
        export_profile(kept, "anndata", tmp_path / "cells.h5ad")
