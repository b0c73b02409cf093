"""Vectors of a slide: its tiles or nuclei through an encoder, into files that other programs read.

`embed_slide` writes them, `embed_whole` makes one of them, `cluster_tiles` sorts them, `compare_encoders`
says what they know. It stands above the pipeline, for it reads quality and cells.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.embedding.clusters import cluster_tiles
    from histome.embedding.compare import Compared, compare_encoders, compare_files
    from histome.embedding.cost import EncoderCost, measure_cost
    from histome.embedding.embed import EmbedSettings, embed_slide
    from histome.embedding.figure import write_comparison
    from histome.embedding.layouts import LAYOUTS, Embedded
    from histome.embedding.places import Places, nucleus_places, tile_places
    from histome.embedding.public_tasks import PublicTask, read_public_tasks, score_public
    from histome.embedding.robustness import write_robustness
    from histome.embedding.slide_vector import embed_whole
    from histome.embedding.tasks import EncoderTask, read_tasks

__all__ = [
    "LAYOUTS",
    "Compared",
    "EmbedSettings",
    "Embedded",
    "EncoderCost",
    "EncoderTask",
    "Places",
    "PublicTask",
    "cluster_tiles",
    "compare_encoders",
    "compare_files",
    "embed_slide",
    "embed_whole",
    "measure_cost",
    "nucleus_places",
    "read_public_tasks",
    "read_tasks",
    "score_public",
    "tile_places",
    "write_comparison",
    "write_robustness",
]
__getattr__ = opened(__name__, __file__)
