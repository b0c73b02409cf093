"""One vector of a slide out of those of its tiles, as TRIDENT lays it down."""

import json
from pathlib import Path

from histome.embedding.layouts import read_corners, read_vectors
from histome.encoders import OpenedSlideEncoder
from histome.slide import Slide
from histome.store.disk import read_json, writing


def embed_whole(slide: Slide, file: Path, encoder: OpenedSlideEncoder) -> Path:
    """Write the slide's vector out of a file that `embed_slide` wrote; returns slide_features_NAME/SLIDE.h5.

    It lies beside the folder features_ENCODER of TRIDENT's layout, beside the file in other layouts:
    `features` (dimension,), which TRIDENT and Patho-Bench read.
    """
    import h5py

    about = read_json(file.with_name(f"{file.name}.json"))
    side_px = about["side_px"] * about["mpp"] / slide.mpp.x
    vector = encoder(read_vectors(file), read_corners(file), side_px)
    home = file.parent.parent if file.parent.name.startswith("features_") else file.parent
    path = home / f"slide_features_{encoder.card.name}" / f"{slide.id}.h5"
    known = {"reads": about, "encoder": encoder.card.name, "weights_sha256": encoder.sha256}
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as held:
            features = held.create_dataset("features", data=vector)
            features.attrs.update({"name": slide.id, "encoder": encoder.card.name})
            held.attrs["histome"] = json.dumps(known)
    return path
