"""Quality control: is the slide usable, and where."""

from histome.qc.quality import Quality, assess

__all__ = ["Quality", "assess"]
