"""Declarations of the extended families."""

from histome.metrics.declaration import Family, Loop, Template

EXTENDED: tuple[Template | Loop, ...] = ()
EXTENDED_FAMILIES: tuple[Family, ...] = ()
