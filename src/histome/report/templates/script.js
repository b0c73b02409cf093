const $ = (selector) => document.querySelector(selector);
const on = (element, names, act) => names.split(" ").forEach((name) => element?.addEventListener(name, act));

on($("#overlay"), "input", (event) => {
  document.documentElement.style.setProperty("--overlay", event.target.value / 100);
});
for (const mark of document.querySelectorAll(".narrative sup a")) {
  on(mark, "click", () => { $(".rests").open = true; });
}

/* The fields, one at a time, at full resolution. */
const dialog = $("#field-dialog");
const fields = [...document.querySelectorAll(".field")];
let shown = 0;
function openField(number) {
  if (!fields.length) return;
  shown = (number + fields.length) % fields.length;
  const copy = fields[shown].querySelector(".picture").cloneNode(true);
  const box = copy.viewBox.baseVal, scale = Math.min((innerWidth - 60) / box.width, innerHeight * 0.8 / box.height);
  copy.style.width = `${box.width * scale}px`; // no wider than its pixels: outlines beyond them would show
  copy.style.height = `${box.height * scale}px`;
  $(".stage").replaceChildren(copy);
  $("#field-title").textContent = `${fields[shown].querySelector(".letter").textContent}: ${fields[shown].querySelector("h3").textContent}`;
  if (!dialog.open) dialog.showModal();
}
const raw = (state) => dialog.classList.toggle("raw", state);
for (const button of document.querySelectorAll("[data-open]")) {
  on(button, "click", () => openField(Number(button.dataset.open)));
}
if (dialog) {
  on($("#field-close"), "click", () => dialog.close());
  on($("#field-before"), "click", () => openField(shown - 1));
  on($("#field-next"), "click", () => openField(shown + 1));
  on($("#field-outlines"), "change", (event) => dialog.classList.toggle("plain", !event.target.checked));
  for (const place of [$(".stage"), $("#field-raw")]) {
    on(place, "pointerdown", (event) => { event.preventDefault(); raw(true); });
    on(place, "pointerup pointerleave pointercancel", () => raw(false));
    on(place, "contextmenu", (event) => event.preventDefault());
  }
  on(dialog, "click", (event) => { if (event.target === dialog) dialog.close(); });
  on(dialog, "close", () => raw(false));
  on(dialog, "keyup", (event) => { if ("rR ".includes(event.key)) raw(false); });
  on(dialog, "keydown", (event) => {
    if ("rR".includes(event.key) || (event.key === " " && event.target.id === "field-raw")) raw(true);
    if (event.key === "ArrowLeft") openField(shown - 1);
    if (event.key === "ArrowRight") openField(shown + 1);
  });
}

/* The slide: wheel, pinch, drag, keys. */
const slide = $("#slide-picture");
const whole = slide.viewBox.baseVal;
const full = { width: whole.width, height: whole.height };
const FINEST = 16;
let view = { x: 0, y: 0, width: full.width };
/* The scale bar stays in its corner and keeps a round length. */
const bar = slide.querySelector(".scale");
const [pane, line, words] = bar.children;
const start = Number(line.getAttribute("x")), padding = start - Number(pane.getAttribute("x"));
function measure(closer) {
  const most = slide.dataset.um * closer / 5, power = 10 ** Math.floor(Math.log10(most));
  const um = Math.max(...[1, 2, 5].map((k) => k * power).filter((length) => length <= most * 1.000001));
  const length = um / slide.dataset.um * full.width / closer;
  line.setAttribute("width", length);
  words.textContent = um >= 1000 ? `${um / 1000} mm` : `${Number(um.toPrecision(3))} µm`;
  pane.setAttribute("width", Math.max(length, words.getComputedTextLength()) + 2 * padding);
  bar.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${closer})`);
}
function look(x, y, width) {
  width = Math.min(full.width, Math.max(full.width / FINEST, width));
  const height = width * full.height / full.width;
  view = { x: Math.min(full.width - width, Math.max(0, x)), y: Math.min(full.height - height, Math.max(0, y)), width };
  slide.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
  slide.style.setProperty("--closer", width / full.width);
  measure(width / full.width);
  slide.classList.toggle("zoomed", width < full.width * 0.999);
  slide.classList.toggle("fine", width < full.width * 0.8);
}
function place(event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(slide.getScreenCTM().inverse());
}
function zoom(factor, x = view.x + view.width / 2, y = view.y + view.width * full.height / full.width / 2) {
  const width = Math.min(full.width, Math.max(full.width / FINEST, view.width / factor));
  const kept = width / view.width;
  look(x - (x - view.x) * kept, y - (y - view.y) * kept, width);
}
on($("#zoom-in"), "click", () => zoom(1.6));
on($("#zoom-out"), "click", () => zoom(1 / 1.6));
on($("#zoom-whole"), "click", () => look(0, 0, full.width));
slide.addEventListener("wheel", (event) => {
  if (event.deltaY > 0 && view.width >= full.width) return; // the page scrolls on
  event.preventDefault();
  const at = place(event);
  zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(0.35, Math.abs(event.deltaY) / 300)), at.x, at.y);
}, { passive: false });

const pointers = new Map();
let moved = 0;
const spread = () => {
  const [a, b] = [...pointers.values()];
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
};
on(slide, "pointerdown", (event) => {
  if (!pointers.size) moved = 0;
  pointers.set(event.pointerId, event);
});
on(slide, "pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const apart = pointers.size === 2 ? spread() : 0;
  const from = place(before), to = place(event);
  pointers.set(event.pointerId, event);
  moved += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
  if (apart) zoom(spread() / apart, to.x, to.y);
  else if (moved > 4) {
    slide.setPointerCapture(event.pointerId);
    look(view.x + from.x - to.x, view.y + from.y - to.y, view.width);
  }
});
on(slide, "pointerup pointercancel pointerleave", (event) => pointers.delete(event.pointerId));
function nearest(x, y) {
  const away = [...slide.querySelectorAll("[data-field]")].map((mark) => {
    const box = mark.firstElementChild.getBBox();
    return Math.hypot(box.x + box.width / 2 - x, box.y + box.height / 2 - y);
  });
  return away.indexOf(Math.min(...away));
}
on(slide, "click", (event) => {
  const at = place(event);
  if (moved <= 4) openField(nearest(at.x, at.y));
});
on(slide, "keyup", (event) => { if ("rR".includes(event.key)) slide.classList.remove("raw"); });
on(slide, "blur", () => slide.classList.remove("raw"));
on(slide, "keydown", (event) => {
  const step = view.width / 8, middle = view.width / 2;
  const keys = {
    "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6), 0: () => look(0, 0, full.width),
    ArrowLeft: () => look(view.x - step, view.y, view.width), ArrowRight: () => look(view.x + step, view.y, view.width),
    ArrowUp: () => look(view.x, view.y - step, view.width), ArrowDown: () => look(view.x, view.y + step, view.width),
    Enter: () => openField(nearest(view.x + middle, view.y + middle * full.height / full.width)),
    r: () => slide.classList.add("raw"), R: () => slide.classList.add("raw"),
  };
  const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
  if (act && (view.width < full.width || !event.key.startsWith("Arrow"))) { event.preventDefault(); act(); }
});
