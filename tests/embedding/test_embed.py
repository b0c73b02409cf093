"""A slide's vectors: where they lie, that a run goes on, that nothing but the settings changes them."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.drawn_nuclei import Ellipse, draw
from PIL import Image
from typer.testing import CliRunner

from histome.classes import QC_CLASSES
from histome.cli import app
from histome.embedding import (
    EmbedSettings,
    cluster_tiles,
    embed_slide,
    embed_whole,
    nucleus_places,
    tile_places,
)
from histome.embedding.layouts import LAYOUTS, read_corners, read_vectors
from histome.encoders import EncoderCard, OpenedEncoder, OpenedSlideEncoder
from histome.errors import UsageError
from histome.phantom import paint_field
from histome.slide import ClassMap, Slide
from histome.slide.plain import array_slide

MPP, SIZE_PX = (0.25, 0.5), (1280, 480)  # oblong: whoever mixes x and y shows it
SIDE = 32
CARD = EncoderCard(name="mean-color", publisher="me", dimension=3, mpp=1.0, input_px=SIDE, pooling="own")


def mean_color(tiles):
    return tiles.mean((1, 2))


@pytest.fixture
def kept(monkeypatch, rng):
    """A drawn slide and what is read of its profile: 108 nuclei, tissue but on the right quarter."""
    monkeypatch.setattr(Slide, "fingerprint", lambda _: "ab" * 32)
    places = [(25.0 * i + 18, 25.0 * j + 15) for j in range(9) for i in range(12)]
    drawn = [Ellipse(x, y, *rng.uniform(3, 5, 2), 0.4, k % 9) for k, (x, y) in enumerate(places)]
    codes = np.full((30, 40), QC_CLASSES.index("VALID_TISSUE") + 1, np.uint8)
    codes[:, 30:] = QC_CLASSES.index("MARKER") + 1
    x_um, y_um = (np.array([getattr(e, name) for e in drawn]) for name in ("x_um", "y_um"))
    cells = {"cell_id": np.arange(1, 109), "x": x_um / MPP[0], "y": y_um / MPP[1], "x_um": x_um, "y_um": y_um}
    profile = SimpleNamespace(
        path="profile",
        run={"slide": {"fingerprint": "ab" * 32}},
        cells=pa.table(cells),
        quality=SimpleNamespace(map=ClassMap(codes, 8.0, QC_CLASSES)),
    )
    return draw(SIZE_PX, drawn, mpp=MPP), profile


def test_tiles_of_tissue_lie_on_a_grid_and_only_there():
    codes = np.full((8, 8), QC_CLASSES.index("NO_TISSUE") + 1, np.uint8)
    codes[2:6, :4] = QC_CLASSES.index("VALID_TISSUE") + 1  # rows 16-48 um, columns 0-32 um
    slide = array_slide(np.zeros((128, 128, 3), np.uint8), 0.5)
    places = tile_places(slide, ClassMap(codes, 8.0, QC_CLASSES), 16, mpp=1.0)
    assert places.corners_px.tolist() == [[0, 32], [32, 32], [0, 64], [32, 64]]  # level-0 px of 0.5 um
    assert len(tile_places(slide, ClassMap(codes, 8.0, QC_CLASSES), 32, mpp=1.0, least_tissue=0.51)) == 0
    half = tile_places(slide, ClassMap(codes, 8.0, QC_CLASSES), 32, mpp=1.0, least_tissue=0.5)
    assert half.corners_px.tolist() == [[0, 0], [0, 64]]


def test_a_nucleus_lies_in_the_middle_of_its_patch(kept):
    slide, profile = kept
    places = nucleus_places(slide, profile.cells, SIDE, mpp=0.5)
    cells = profile.cells.to_pydict()
    center_um = (places.corners_px * MPP) + SIDE * 0.5 / 2
    np.testing.assert_allclose(center_um, np.stack([cells["x_um"], cells["y_um"]], 1), atol=0.01)
    assert places.ids.tolist() == cells["cell_id"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_holds_the_vectors_of_the_pixels_at_its_corners(kept, tmp_path, layout):
    slide, profile = kept
    file = embed_slide(slide, OpenedEncoder(CARD, mean_color), tmp_path, profile=profile, layout=layout)
    vectors, corners = read_vectors(file), read_corners(file)
    assert vectors.shape == (len(corners), 3)
    assert len(corners) > 20
    for vector, corner in zip(vectors[::7], corners[::7], strict=True):
        np.testing.assert_allclose(
            vector, mean_color(slide.read(*corner, size=(SIDE, SIDE), mpp=1.0)[None])[0]
        )


def test_files_are_what_trident_clam_and_slide2vec_read(kept, tmp_path):
    import h5py

    slide, profile = kept
    encoder = OpenedEncoder(CARD, mean_color)
    file = embed_slide(slide, encoder, tmp_path, profile=profile)
    assert file.relative_to(tmp_path).as_posix() == "10x_32px_0px_overlap/features_mean-color/drawn.h5"
    with h5py.File(file) as held:
        assert held["features"].dtype == np.float32
        assert held["coords"].dtype == np.int64
        assert held["coords"].attrs["patch_size"] == SIDE
        assert held["coords"].attrs["patch_size_level0"] == SIDE / MPP[0]
        assert (held["coords"].attrs["level0_magnification"], held["coords"].attrs["overlap"]) == (40, 0)
    torch = pytest.importorskip("torch")
    embed_slide(slide, encoder, tmp_path, profile=profile, layout="clam")
    tensor = torch.load(tmp_path / "pt_files" / "drawn.pt", weights_only=True)
    np.testing.assert_array_equal(tensor.numpy(), read_vectors(tmp_path / "h5_files" / "drawn.h5"))
    embed_slide(slide, encoder, tmp_path, profile=profile, layout="slide2vec")
    told = json.loads((tmp_path / "tile_embeddings" / "drawn.meta.json").read_text())
    assert (told["sample_id"], told["feature_dim"], told["num_tiles"]) == ("drawn", 3, len(tensor))


def test_an_interrupted_run_goes_on_to_the_same_bytes(kept, tmp_path):
    slide, profile = kept
    seen = []

    def breaks(tiles):
        seen.append(len(tiles))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return mean_color(tiles)

    settings = EmbedSettings(batch=4)
    whole = embed_slide(slide, OpenedEncoder(CARD, mean_color), tmp_path / "whole", settings, profile=profile)
    with pytest.raises(KeyboardInterrupt):
        embed_slide(slide, OpenedEncoder(CARD, breaks), tmp_path / "again", settings, profile=profile)
    (kept_rows,) = (tmp_path / "again").rglob("vectors.f32")
    with kept_rows.open("ab") as file:
        file.write(b"\x00" * 5)  # a row that was cut off
    counted = []
    again = embed_slide(
        slide,
        OpenedEncoder(CARD, lambda t: (counted.append(len(t)), mean_color(t))[1]),
        tmp_path / "again",
        settings,
        profile=profile,
    )
    np.testing.assert_array_equal(read_vectors(again), read_vectors(whole))
    assert sum(counted) == len(read_vectors(whole)) - 8
    assert not list((tmp_path / "again").rglob("*.partial"))

    def never(tiles):
        raise AssertionError("a finished file is not made again")

    assert (
        embed_slide(slide, OpenedEncoder(CARD, never), tmp_path / "again", settings, profile=profile) == again
    )
    with pytest.raises(AssertionError):  # another setting is another file
        embed_slide(
            slide,
            OpenedEncoder(CARD, never),
            tmp_path / "again",
            EmbedSettings(stain="macenko"),
            profile=profile,
        )


def test_batch_and_workers_change_nothing_and_stain_and_resolution_do(kept, tmp_path):
    slide, profile = kept
    encoder = OpenedEncoder(CARD, mean_color)

    def found(name, **settings):
        file = embed_slide(slide, encoder, tmp_path / name, EmbedSettings(**settings), profile=profile)
        return read_vectors(file)

    one = found("one", batch=1)
    np.testing.assert_array_equal(one, found("many", batch=7, workers=3))
    assert np.abs(one - found("stain", stain="reinhard")).max() > 5
    assert len(found("finer", mpp=0.5)) > 3 * len(one)
    assert len(found("nuclei", nuclei=True)) == len(profile.cells)


def test_what_cannot_be_is_one_line(kept, tmp_path, monkeypatch):
    slide, profile = kept
    encoder = OpenedEncoder(CARD, mean_color)
    with pytest.raises(UsageError, match="choose from trident, clam"):
        embed_slide(slide, encoder, tmp_path, profile=profile, layout="rows")
    with pytest.raises(UsageError, match="give --profile FOLDER"):
        embed_slide(slide, encoder, tmp_path, EmbedSettings(nuclei=True))
    monkeypatch.setattr(Slide, "fingerprint", lambda _: "cd" * 32)
    with pytest.raises(UsageError, match="the profile of another slide"):
        embed_slide(slide, encoder, tmp_path, profile=profile)


def test_groups_are_sorted_by_size_and_found_by_angle(rng):
    near = rng.normal([5, 0, 0], 0.1, (30, 3)).astype(np.float32)
    other = rng.normal([0, 2, 0], 0.1, (10, 3)).astype(np.float32)
    label, distance = cluster_tiles(np.concatenate([other, near * 3]), 2)
    assert label.tolist() == [1] * 10 + [0] * 30
    assert distance.max() < 0.3
    with pytest.raises(UsageError, match="41 clusters of 40 tiles"):
        cluster_tiles(np.concatenate([other, near]), 41)


def test_the_command_writes_vectors_and_montages(tmp_path, rng):
    Image.fromarray(paint_field(512, mpp=0.5, rng=rng)).save(tmp_path / "field.png")
    words = ["embed", str(tmp_path / "field.png"), "--mpp", "0.5", "--encoder", "color-histogram"]
    words += ["-o", str(tmp_path / "out"), "--layout", "parquet", "--clusters", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "out" / "field.color-histogram.parquet")
    assert table.column_names == ["x_px", "y_px", "embedding"]
    assert len(table) == 4
    folder = tmp_path / "out" / "field.color-histogram.clusters"
    assert sorted(path.name for path in folder.iterdir()) == [
        "cluster_00.png",
        "cluster_01.png",
        "clusters.csv",
    ]
    assert (folder / "clusters.csv").read_text().splitlines()[0] == "x_px,y_px,cluster,distance"


@pytest.mark.parametrize(("layout", "home"), [("trident", "10x_32px_0px_overlap"), ("parquet", "")])
def test_one_vector_of_a_slide_lies_beside_those_of_its_tiles(kept, tmp_path, layout, home):
    """The slide encoder gets vectors, and places in sides of a tile: 32 um are 128 level-0 px here."""
    slide, profile = kept
    file = embed_slide(slide, OpenedEncoder(CARD, mean_color), tmp_path, profile=profile, layout=layout)
    corners, seen = read_corners(file), []

    def run(vectors, places):
        seen.append((vectors, places))
        return vectors.max(0)

    card = EncoderCard(name="most", publisher="me", level="slide", dimension=3, reads="any")
    path = embed_whole(slide, file, OpenedSlideEncoder(card, run))
    assert path == tmp_path / home / "slide_features_most" / f"{slide.id}.h5"
    vectors = read_vectors(file)
    np.testing.assert_allclose(read_vectors(path), vectors.max(0))
    np.testing.assert_allclose(seen[0][1], corners / 128, rtol=1e-5)


def test_the_command_writes_one_vector_of_the_slide(tmp_path, rng):
    Image.fromarray(paint_field(512, mpp=0.5, rng=rng)).save(tmp_path / "field.png")
    words = ["embed", str(tmp_path / "field.png"), "--mpp", "0.5", "--encoder", "color-histogram"]
    words += ["-o", str(tmp_path / "out"), "--slide-encoder", "mean-of-tiles"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (file,) = tmp_path.glob("out/*/slide_features_mean-of-tiles/field.h5")
    (tiles,) = tmp_path.glob("out/*/features_color-histogram/field.h5")
    np.testing.assert_allclose(read_vectors(file), read_vectors(tiles).mean(0), rtol=1e-6)
    done = CliRunner().invoke(app, [*words[:-1], "chief"])
    assert "no weights; get them from https://github.com/hms-dbmi/CHIEF" in str(done.exception)
