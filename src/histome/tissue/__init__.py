"""Tissue segmentation: what is where."""

from histome.tissue.drawn import drawn_regions
from histome.tissue.glands import DrawnGlands, find_glands
from histome.tissue.regions import REGION_SCHEMA, find_regions
from histome.tissue.segment import segment_tissue
from histome.tissue.tissue import Tissue, whole_field

__all__ = [
    "REGION_SCHEMA",
    "DrawnGlands",
    "Tissue",
    "drawn_regions",
    "find_glands",
    "find_regions",
    "segment_tissue",
    "whole_field",
]
