"""histome measures a tumour's microenvironment from a routine H&E whole-slide image."""

__version__ = "0.1.0"
