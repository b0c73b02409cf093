"""Tissue segmentation: what is where."""

from histome.tissue.regions import find_regions
from histome.tissue.segment import Tissue, segment_tissue

__all__ = ["Tissue", "find_regions", "segment_tissue"]
