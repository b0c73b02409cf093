"""The figures of a page as PDF: lines, rectangles, circles, polygons and text of our own SVG, no more."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

# Advance widths of Helvetica, characters 32 to 126, thousandths of the size (Adobe's font metrics).
_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556,) * 10,
    *(278, 278, 584, 584, 584, 556, 1015),
    *(667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611),
    *(722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333),
    *(556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278),
    *(556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
# A circle by four Bezier curves: their handles, of its radius.
_KAPPA = 0.5523
_NAMED = {"currentColor": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}

Shape = Mapping[str, str]


def write_pdf(path: Path, svg: str) -> None:
    """Write a figure (an SVG of ours, a px is a point) as a page of PDF; equal figures give equal bytes."""
    root = ElementTree.fromstring(svg)
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    states: dict[tuple[float, float], str] = {}
    drawn = [f"1 0 0 -1 0 {height:g} cm"]
    for element in root:
        kind = element.tag.rpartition("}")[2]
        if kind == "text":
            drawn.append(_text(dict(root.attrib) | dict(element.attrib), "".join(element.itertext()), states))
        elif kind in _PATHS:
            drawn.append(_shape(_PATHS[kind](element.attrib), element.attrib, states))
    path.write_bytes(_document("\n".join(drawn).encode("cp1252", "replace"), (width, height), states))


def _document(content: bytes, size: tuple[float, float], states: Mapping[tuple[float, float], str]) -> bytes:
    """The five objects of a page, and where they lie."""
    alphas = " ".join(f"/{name} << /ca {fill:g} /CA {line:g} >>" for (fill, line), name in states.items())
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    resources = f"<< /Font << /F {font} >> /ExtGState << {alphas} >> >>"
    page = f"/Parent 2 0 R /MediaBox [0 0 {size[0]:g} {size[1]:g}] /Contents 4 0 R /Resources {resources}"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page {page} >>".encode("ascii"),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    whole, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    last = (len(objects) + 1, table, len(objects) + 1, len(whole))
    return (
        whole
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % last
    )


def _color(text: str) -> tuple[float, ...] | None:
    if text == "none":
        return None
    return _NAMED[text] if text in _NAMED else tuple(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5))


def _alpha(shape: Shape, states: dict[tuple[float, float], str]) -> str:
    both = (float(shape.get("fill-opacity", 1)), float(shape.get("stroke-opacity", 1)))
    return f"/{states.setdefault(both, f'G{len(states)}')} gs"


def _shape(path: str, shape: Shape, states: dict[tuple[float, float], str]) -> str:
    """A path, filled and stroked as its attributes say."""
    is_line = shape.get("x1") is not None
    fill = None if is_line else _color(shape.get("fill", "currentColor"))
    line = _color(shape.get("stroke", "none"))
    if fill is None and line is None:
        return ""
    parts = ["q", _alpha(shape, states), f"{float(shape.get('stroke-width', 1)):g} w"]
    parts += ["{:.3f} {:.3f} {:.3f} rg".format(*fill)] if fill else []
    parts += ["{:.3f} {:.3f} {:.3f} RG".format(*line)] if line else []
    return "\n".join([*parts, path, "B" if fill and line else "f" if fill else "S", "Q"])


def _text(shape: Shape, words: str, states: dict[tuple[float, float], str]) -> str:
    """Words at their anchor; the page is upside down, so they are turned back."""
    size, words = float(shape.get("font-size", 12)), " ".join(words.split())
    share = {"middle": 0.5, "end": 1.0}.get(shape.get("text-anchor", "start"), 0.0)
    back = share * text_width(words) * size
    color = _color(shape.get("fill", "currentColor")) or (0.0, 0.0, 0.0)
    turn = (
        math.radians(float(shape["transform"].split("(")[1].split()[0].rstrip(",)")))
        if "transform" in shape
        else 0.0
    )
    c, s = math.cos(turn), math.sin(turn)
    x, y = float(shape["x"]) - c * back, float(shape["y"]) - s * back
    place = f"{c:.4f} {s:.4f} {s:.4f} {-c:.4f} {x:.2f} {y:.2f}"
    told = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    fill = "{:.3f} {:.3f} {:.3f} rg".format(*color)
    return f"q\n{_alpha(shape, states)}\n{fill}\nBT /F {size:g} Tf {place} Tm ({told}) Tj ET\nQ"


def text_width(words: str) -> float:
    """Width of words in Helvetica, of the font's size; characters that are not ASCII count as a digit."""
    return sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else 556 for c in words) / 1000


def _line(a: Shape) -> str:
    return f"{float(a['x1']):g} {float(a['y1']):g} m {float(a['x2']):g} {float(a['y2']):g} l"


def _rect(a: Shape) -> str:
    return " ".join(f"{float(a.get(name, 0)):g}" for name in ("x", "y", "width", "height")) + " re"


def _circle(a: Shape) -> str:
    x, y, r = (float(a[name]) for name in ("cx", "cy", "r"))
    k = _KAPPA * r
    turns = [
        (x + r, y + k, x + k, y + r, x, y + r),
        (x - k, y + r, x - r, y + k, x - r, y),
        (x - r, y - k, x - k, y - r, x, y - r),
        (x + k, y - r, x + r, y - k, x + r, y),
    ]
    return f"{x + r:g} {y:g} m\n" + "\n".join(" ".join(f"{v:.3f}" for v in turn) + " c" for turn in turns)


def _points(a: Shape) -> str:
    places = [tuple(map(float, pair.split(","))) for pair in a["points"].split()]
    return "\n".join(f"{x:g} {y:g} {'l' if k else 'm'}" for k, (x, y) in enumerate(places))


def _polygon(a: Shape) -> str:
    return f"{_points(a)}\nh"


_PATHS: Mapping[str, Callable[[Shape], str]] = {
    "line": _line,
    "rect": _rect,
    "circle": _circle,
    "polyline": _points,
    "polygon": _polygon,
}
