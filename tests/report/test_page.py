"""The page as a reader meets it: picture first, in the dark, on paper, by keyboard, under any name."""

import html
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
from helpers import profiles
from helpers.page import CONFIG, HOSTILE, Page

from histome.metrics.catalogue import list_metrics
from histome.report import render_report
from histome.report.wording import GLOSSARY, KEY_METRICS, in_signs, plain_name_of
from histome.slide import Slide

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return profiles.make_slide(tmp_path_factory.mktemp("slide"))


@pytest.fixture(scope="module")
def whole(slide: Slide) -> str:
    return render_report(profiles.make_profile(), slide, CONFIG)


def test_the_picture_comes_first_and_its_legend_is_beside_it(whole: str) -> None:
    first = whole[whole.index('<div class="first">') : whole.index('id="fields"')]
    assert first.index('id="slide-picture"') < first.index('class="verdict"') < first.index('class="legend')
    assert ".first { display: grid; grid-template-columns:" in whole


def test_overlays_begin_at_40_percent_and_borders_are_a_mode(whole: str) -> None:
    controls = {a["id"]: a for a in Page(whole).all("input") if a.get("id")}
    assert controls["overlay"]["value"] == "40"
    assert "--overlay: .4;" in whole
    assert "checked" not in controls["borders-only"]
    assert "checked" in controls["show-tissue"]
    for key in ("qc", "tissue"):
        assert f'<use class="fill" href="#im-{key}"/><use class="borders" href="#im-{key}-borders"/>' in whole


@pytest.mark.parametrize("layer", ["tissue", "cells", "qc"])
def test_the_settings_say_which_layer_is_on_at_first(slide: Slide, layer: str) -> None:
    config = CONFIG.model_copy(update={"first_layer": layer})
    page = Page(render_report(profiles.make_profile(), slide, config))
    shown = {a["id"] for a in page.all("input") if "checked" in a and (a.get("id") or "") in LAYERS}
    assert shown == {f"show-{layer}"}


LAYERS = {"show-tissue", "show-cells", "show-qc"}


def test_the_slide_and_every_field_open_by_keyboard(whole: str) -> None:
    page = Page(whole)
    (picture,) = (a for a in page.all("svg") if a.get("id") == "slide-picture")
    assert picture["tabindex"] == "0"
    assert "Enter opens the nearest field" in (picture["aria-label"] or "")
    fields = whole.count('class="field"')
    opens = [a["aria-label"] for a in page.all("button") if "data-open" in a]
    assert opens == [f"Open field {letter}" for letter in "ABCDEF"[:fields]]
    assert whole.count("data-field=") == fields
    assert [a["aria-labelledby"] for a in page.all("dialog")] == ["field-title"]


def test_colors_are_variables_so_that_the_dark_page_has_others(whole: str) -> None:
    style = re.findall(r"<style>(.*?)</style>", whole, re.S)[0]
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.S)
    screen = rules[: rules.index("@media print")]
    assert "prefers-color-scheme: dark" in style
    # The banner is dark on every page; shadows are black.
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", screen)) <= {"#1c2430", "#fff", "#fie"}
    for name in set(re.findall(r"var\((--[\w-]+)", style)) - {"--shade", "--closer", "--overlay", "--n"}:
        assert style.count(f"{name}:") == 2, f"{name} has no dark color"


def _luminance(color: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_numbers_can_be_read_on_every_shade_in_the_light_and_in_the_dark(whole: str) -> None:
    style = re.findall(r"<style>(.*?)</style>", whole, re.S)[0]
    most = float(re.findall(r"\.shaded \{ background: rgba\(var\(--heat\), calc\((\.\d+) \*", style)[0])
    heats = re.findall(r"--heat: (\d+), (\d+), (\d+)", style)
    inks, papers = (re.findall(rf"--{name}: #(\w+)", style) for name in ("ink", "paper"))
    assert len(heats) == len(inks) == len(papers) == 2
    for heat, *others in zip(heats, inks, papers, strict=True):
        full = (value * 2 if len(value) == 3 else value for value in others)
        ink, paper = ([int(value[at : at + 2], 16) for at in (0, 2, 4)] for value in full)
        for share in (0.0, 0.5, 1.0):
            mixed = [most * share * int(h) + (1 - most * share) * p for h, p in zip(heat, paper, strict=True)]
            low, high = sorted((_luminance(ink), _luminance(mixed)))
            assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_nucleus_drawn_by_lot_is_of_one_size(whole: str) -> None:
    strips = re.findall(r'<img style="--n:(\d+)" src="[^"]*" width="(\d+)" height="(\d+)"', whole)
    assert strips
    assert all(int(width) == 64 * int(n) and height == "60" for n, width, height in strips)


def test_every_key_number_has_a_plain_name_before_its_own(whole: str) -> None:
    known = {metric.name for metric in list_metrics()}
    for name in KEY_METRICS:
        assert name in known
        assert plain_name_of(name) != name
    assert plain_name_of("CELL_DENSITY_LYMPHOCYTE_STROMA") == "Lymphocytes per mm² of stroma"
    metrics = whole[whole.index('id="metrics"') :]
    place = metrics.index("Lymphocytes per mm² of stroma")
    assert '<code class="name">CELL_<wbr>DENSITY' in metrics[place : place + 80]


def test_definitions_have_the_signs_that_people_write() -> None:
    assert in_signs("tiles of 250 um with 250 per mm2, 50 um2 or mm^2, fatumu") == (
        "tiles of 250 µm with 250 per mm², 50 µm² or mm², fatumu"
    )
    assert in_signs("100 x mean of 4 pi area / perimeter^2") == (
        "100 \N{MULTIPLICATION SIGN} mean of 4π area / perimeter²"
    )


def test_words_are_in_the_glossary(whole: str) -> None:
    words = Page(whole).words()
    assert all(meaning in words for meaning in GLOSSARY.values())
    assert '<a href="#glossary">' in whole


def test_headline_numbers_have_their_interval_or_say_that_they_have_none(slide: Slide) -> None:
    metrics = profiles.make_metrics()
    names = metrics["name"].to_pylist()
    low = [1e-3 if name == "CELL_DENSITY_LYMPHOCYTE_STROMA" else None for name in names]
    high = [2e-3 if name == "CELL_DENSITY_LYMPHOCYTE_STROMA" else None for name in names]
    method = ["none: fewer than 8 blocks of tissue" if each is None else "bootstrap" for each in low]
    for column, values in (("low", low), ("high", high), ("method", method)):
        metrics = metrics.append_column(column, pa.array(values))
    text = render_report(profiles.make_profile(metrics=metrics), slide, CONFIG)
    tiles = text[text.index('class="tiles"') : text.index('id="fields"')]
    assert "95 %: " in tiles
    shown = "1 000 to 2 000".replace(" 0", "\N{NARROW NO-BREAK SPACE}0")
    assert re.findall(r"95 %: <span[^>]*>(.*?)</span>", tiles) == [shown]
    assert 'title="No 95 % interval: fewer than 8 blocks of tissue"' in tiles


def test_a_density_of_four_cells_is_not_shown(slide: Slide) -> None:
    name = "CELL_DENSITY_LYMPHOCYTE_STROMA"
    metrics = profiles.table_of({name: (2e-4, 4), "ABSOLUTE_AREA_STROMA": (20_000.0, 5000)})
    text = render_report(profiles.make_profile(metrics=metrics), slide, CONFIG)
    assert "only 4 cells in 0.020 mm²" in Page(text).words()
    assert f'<data data-source="{name}"' not in text


def test_classes_that_are_not_there_are_named_in_a_line(slide: Slide) -> None:
    metrics = profiles.make_metrics({"CELL_COUNT_GRANULOCYTE": 0.0, "ABSOLUTE_AREA_VESSEL": 0.0})
    text = render_report(profiles.make_profile(metrics=metrics), slide, CONFIG)
    words = Page(text).words()
    assert "None found: granulocyte." in words
    assert "None found: vessel." in words
    assert "CELL_PERCENTAGE_GRANULOCYTE" not in text


NAMES = {
    "markup": HOSTILE.replace("/", ""),
    "dots": "..",
    "long": "a" * 10_000,
    "emoji": "slide \N{MICROSCOPE}\N{ZERO WIDTH JOINER}\N{DNA DOUBLE HELIX}",
    "ansi": "\x1b[31mred\x1b[0m\x07\x9b2J",
    "turned": "\u202egpj.exe\u2066",
    "quotes": "'\"`${1}{{ 7 * 7 }}{% raw %}",
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_of_a_slide_is_text(slide: Slide, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slide, "id", NAMES[kind])
    text = render_report(profiles.make_profile(), slide, CONFIG)
    page = Page(text)
    assert text.count("<script") == 1
    assert not [attrs for _, attrs in page.tags if {"onerror", "onload", "onclick"} & set(attrs)]
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text) is None
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\u202e\u2066]", "\N{REPLACEMENT CHARACTER}", NAMES[kind])
    assert shown.split()[0] in page.words()
    assert "overflow-wrap: anywhere; max-height: 2.5em; overflow: hidden;" in text


def pages_of(pdf: bytes) -> int:
    """Number of pages, also of those that lie in compressed streams."""
    found = len(re.findall(rb"/Type\s*/Page\b", pdf))
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S):
        try:
            found += len(re.findall(rb"/Type\s*/Page\b", zlib.decompress(stream)))
        except zlib.error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_it_prints_on_two_pages(slide: Slide, tmp_path: Path) -> None:
    from histome.caveats.codes import CODES, caveat

    told = [caveat(code, "What this means for the numbers. " * 6)._asdict() for code in sorted(CODES)]
    run = profiles.make_run(warnings=told)
    families = (*profiles.FAMILIES, "tumor-border", "enrichment-in-tissue")
    profile = profiles.make_profile(run=run, metrics=profiles.make_metrics(families=families))
    (tmp_path / "report.html").write_text(render_report(profile, slide, CONFIG))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}"]
    command = [CHROMIUM, *options, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'out.pdf'}"]
    subprocess.run(
        [*command, (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=300
    )
    assert pages_of((tmp_path / "out.pdf").read_bytes()) == 2


# Does what a reader does and writes what came of it to the title. The policy of the page lets no other script
# run.
ACTS = """
const result = {};
const picture = document.querySelector("#slide-picture"), at = picture.getBoundingClientRect();
const center = (box) => ({ clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 });
const middle = { ...center(at), bubbles: true, cancelable: true };
const seen = () => picture.getAttribute("viewBox").split(" ").map(Number);
const before = seen();
picture.dispatchEvent(new WheelEvent("wheel", { ...middle, deltaY: 300 }));
result.outAtFirst = seen()[2] === before[2];
const wheel = new WheelEvent("wheel", { ...middle, deltaY: -300 });
picture.dispatchEvent(wheel);
result.kept = wheel.defaultPrevented;
result.zoomed = seen()[2] / before[2];
result.middle = [seen()[0] + seen()[2] / 2, seen()[1] + seen()[3] / 2];
result.fine = getComputedStyle(document.querySelector("#deep")).display;
result.bar = document.querySelector(".overview .scale text").textContent;
picture.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
result.right = seen()[0] > before[0];
document.querySelector("#zoom-whole").click();
result.whole = seen();
picture.dispatchEvent(new KeyboardEvent("keydown", { key: "r" }));
result.stain = getComputedStyle(document.querySelector(".layer-tissue")).display;
picture.dispatchEvent(new KeyboardEvent("keyup", { key: "r" }));
const mark = document.querySelector("[data-field='1'] rect").getBoundingClientRect();
picture.dispatchEvent(new MouseEvent("click", { ...middle, ...center(mark) }));
result.field = document.querySelector("#field-title").textContent;
const dialog = document.querySelector("dialog");
result.open = dialog.open;
const outlines = dialog.querySelector(".outlines"), shown = () => getComputedStyle(outlines).display;
result.outlined = shown();
dialog.querySelector(".stage").dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
result.held = shown();
dialog.querySelector(".stage").dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
result.released = shown();
dialog.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
result.turned = document.querySelector("#field-title").textContent;
document.querySelector("#field-close").click();
result.closed = !dialog.open;
document.title = JSON.stringify(result);
"""


def browsed(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The page as a browser has it after its scripts ran, and what it complained of."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]
    command += [
        f"--user-data-dir={page.parent / 'browser'}",
        "--enable-logging=stderr",
        "--dump-dom",
        *options,
    ]
    return subprocess.run([*command, page.as_uri()], check=True, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_zoom_fields_and_raw_pixels_work_in_a_browser(slide: Slide, whole: str, tmp_path: Path) -> None:
    page = tmp_path / "acts.html"
    free = re.sub(r"<meta http-equiv=[^>]*>", "", whole)
    page.write_text(free.replace("</body>", f"<script>{{{ACTS}}}</script></body>"), encoding="utf-8")
    title = re.findall(r"<title>(.*?)</title>", browsed(page).stdout, re.S)[0]
    result = json.loads(html.unescape(title))
    width, height = result["whole"][2:]
    assert result["outAtFirst"]
    assert result["kept"]
    assert 0.6 < result["zoomed"] < 0.8
    assert result["middle"] == pytest.approx([width / 2, height / 2], abs=1)
    assert result["fine"] == "inline"
    assert result["bar"] == "50 µm"
    assert result["right"]
    assert result["whole"][:2] == [0, 0]
    assert result["stain"] == "none"
    assert (result["field"][:2], result["turned"][:2]) == ("B:", "A:")
    assert (result["outlined"], result["held"], result["released"]) == ("inline", "none", "inline")
    assert result["open"]
    assert result["closed"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_a_browser_has_nothing_to_complain_of(whole: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(whole, encoding="utf-8")
    complaints = [line for line in browsed(page).stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(
        whole.replace("</body>", "<script>document.title = 'run'</script></body>"), encoding="utf-8"
    )
    result = browsed(spoiled)
    assert "<title>run</title>" not in result.stdout
    assert "Content Security Policy" in result.stderr
