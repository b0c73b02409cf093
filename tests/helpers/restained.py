"""A field as its restained section would look: recolored to DAB, bent by a known spline, turned, mirrored."""

import cv2
import numpy as np
from scipy.interpolate import RectBivariateSpline

from histome.slide.stain import DAB_RGB_OD, HEMATOXYLIN_RGB_OD, hematoxylin_eosin_od


def in_dab(rgb):
    """Hematoxylin weaker, and where eosin was DAB on what is most eosinophilic; with the noise of a scan."""
    hematoxylin, eosin = np.moveaxis(np.clip(hematoxylin_eosin_od(rgb), 0, 2), -1, 0)
    dab = 1.5 * np.clip(eosin - np.median(eosin), 0, 1)
    stains = [np.array(s) / np.linalg.norm(s) for s in (HEMATOXYLIN_RGB_OD, DAB_RGB_OD)]
    density = 0.8 * hematoxylin[..., None] * stains[0] + dab[..., None] * stains[1]
    noise = np.random.default_rng(1).normal(0, 2, rgb.shape)
    return np.clip(255 * 10.0**-density + noise, 0, 255).astype(np.uint8)


class Bend:
    """Places of the bent picture -> places of the field, px: bent by splines, then turned and mirrored."""

    def __init__(self, side, amplitude_px, seed=0, *, turns=0, mirror=False):
        rng = np.random.default_rng(seed)
        knots = np.linspace(0, side, 6)
        self.splines = [
            RectBivariateSpline(knots, knots, rng.uniform(-1, 1, (6, 6)) * amplitude_px) for _ in "xy"
        ]
        self.side, self.turns, self.mirror = side, turns, mirror

    def __call__(self, xy):
        x, y = np.asarray(xy, float).T
        if self.mirror:
            x = self.side - x
        for _ in range(self.turns):
            x, y = self.side - y, x
        dx, dy = (spline.ev(y, x) for spline in self.splines)
        return np.stack([x + dx, y + dy], axis=1)

    def picture(self, rgb):
        """The field as it looks when bent."""
        rows, columns = np.mgrid[: self.side, : self.side]
        at = self(np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)) - 0.5
        maps = at.astype(np.float32).reshape(self.side, self.side, 2)
        return cv2.remap(rgb, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def restained_round(rgb, truth, classes, mpp, seed):
    """The field after bleaching and a round of DAB: hematoxylin, and a brown ring around cells of classes."""
    cells = truth.cells
    dab = np.zeros(rgb.shape[:2], np.float32)
    reach = round(14 / mpp)
    for k in np.flatnonzero(np.isin(cells.classes, classes)):
        a, b, outline = cells.x_px[k], cells.y_px[k], cells.polygons_px[k]
        rows, columns = (slice(max(0, int(c) - reach), int(c) + reach) for c in (b, a))
        part = np.zeros(dab[rows, columns].shape, np.uint8)
        corner = np.array([columns.start, rows.start])
        cv2.fillPoly(part, [np.round((outline - corner) * 16).astype(np.int32)], 1, shift=4)
        ring = cv2.dilate(part, np.ones((2 * round(3 / mpp) + 1,) * 2, np.uint8)) & ~part & 1
        dab[rows, columns] = np.maximum(dab[rows, columns], 0.7 * ring)
    hematoxylin = np.clip(hematoxylin_eosin_od(rgb)[..., 0], 0, 2)
    stains = [np.array(s) / np.linalg.norm(s) for s in (HEMATOXYLIN_RGB_OD, DAB_RGB_OD)]
    dab = cv2.GaussianBlur(dab, (0, 0), 0.4 / mpp)
    density = 0.8 * hematoxylin[..., None] * stains[0] + dab[..., None] * stains[1]
    noise = np.random.default_rng(seed).normal(0, 2, rgb.shape)
    return np.clip(255 * 10.0**-density + noise, 0, 255).astype(np.uint8)
