// The page: two panes at most, and panels that tell of the one that was used last.

import {ringsOf} from './cells.js';
import {drawScale, heated} from './heat.js';
import {Corrections} from './corrections.js';
import {getJson, postJson} from './net.js';
import {Pane} from './pane.js';
import {byId, cellCard, count, make, metricRows, toast, toggles, warningItems} from './panels.js';

const HEAT_SIZES_UM = [250, 500, 1000, 2000];
const MODES = {
  far: 'Density: zoom in for single cells.',
  points: 'Points: zoom in for outlines.',
  near: 'Outlines of the nuclei.',
};
const panes = [];
let active;
let slides = [];

const corrections = new Corrections(() => active, (pane) => {
  const counts = pane.cells.counts();
  pane.info.classes.forEach((entry, k) => (entry.count = counts[k]));
  pane.heat = null;
  heatPanel();
  classToggles();
  pane.draw();
  told.region();
  told.cell(pane, pane.selected).catch(tell);
});
const tell = (error) => toast(error.message);

const told = {
  active(pane) {
    if (pane === active || !pane.info) return;
    active = pane;
    panels();
  },
  moved(pane) {
    const other = panes.find((each) => each !== pane && each.info);
    if (other) other.setView(linked(pane, other));
  },
  drawn(pane) {
    if (pane === active) byId('mode').textContent = pane.cells.count ? MODES[pane.mode()] : 'No cells in this profile.';
  },
  async cell(pane, row) {
    if (row < 0) return byId('cell-body').replaceChildren(make('p', {class: 'quiet'}, 'Click on a cell.'));
    const found = await getJson(`slides/${pane.key}/cells/${row}`);
    if (pane.selected !== row) return;
    const [head, ...rest] = cellCard(found, [...pane.info.classes]);
    const now = pane.info.classes[pane.cells.kind[row]].key;
    byId('cell-body').replaceChildren(head, corrections.chips(row, now), ...rest);
  },
  region() {
    regionList();
    numbers();
  },
  drawnRegion(pane, ring) {
    pane.addRegion(freeName(pane), {type: 'Polygon', coordinates: [ring]});
  },
};

/** The camera of the other slide: as far from its middle, in um, and as near. */
function linked(pane, other) {
  const scale = pane.info.mpp[0] / other.info.mpp[0];
  const target = [0, 1].map((axis) => other.info.size[axis] / 2 + (pane.view.target[axis] - pane.info.size[axis] / 2) * scale);
  return {target: [...target, 0], zoom: pane.view.zoom - Math.log2(scale)};
}

function freeName(pane) {
  const taken = new Set(pane.regions.map(({name}) => name));
  for (let k = 1; ; k++) if (!taken.has(`Region ${k}`)) return `Region ${k}`;
}

async function open(number, key) {
  panes[number] ??= new Pane(byId('panes'), (what, pane, value) => Promise.resolve(told[what](pane, value)).catch(tell));
  const pane = panes[number];
  await pane.open(key);
  active = pane;
  panels();
}

// The panels of the active pane.

function panels() {
  const {info, overlay} = active;
  byId('slide').value = panes[0].key;
  const um = info.size.map((side) => side * info.mpp[0]);
  byId('facts').textContent = `${um.map((side) => (side / 1000).toFixed(2)).join(' × ')} mm, ${+info.mpp[0].toPrecision(4)} µm/px`;
  classToggles();
  byId('overlay').replaceChildren(
    make('option', {value: ''}, 'none'),
    ...Object.entries(info.shares).map(([value, text]) => make('option', {value}, text)),
    ...Object.keys(info.maps).map((name) => make('option', {value: name}, {qc: 'Quality', tissue: 'Tissue', zones: 'Zones round the tumor'}[name])),
  );
  byId('overlay').value = overlay.name;
  byId('strength').value = overlay.strength;
  byId('lines').checked = overlay.lines;
  byId('confidence').value = active.cells.least / 255;
  mapToggles();
  heatPanel();
  byId('warnings').hidden = !warningItems(info.warnings).length;
  byId('warnings').querySelector('ul').replaceChildren(...warningItems(info.warnings));
  told.cell(active, active.selected).catch(tell);
  told.region();
  corrections.open().then(() => active.draw()).catch(tell);
}

function classToggles() {
  const {cells, info} = active;
  toggles(byId('classes'), info.classes, (k) => cells.shown[k], (k, on) => show([k], on));
}

function show(kinds, on) {
  for (const k of kinds) active.cells.show(k, on);
  classToggles();
  active.draw();
}

function mapToggles() {
  const {overlay, info} = active;
  const entries = info.maps[overlay.name] ?? [];
  byId('share-scale').hidden = !(overlay.name in info.shares);
  byId('lines').parentElement.hidden = overlay.name in info.shares;
  toggles(byId('legend'), entries, (k) => (overlay.shown[overlay.name] >> entries[k].bit) & 1, (k) => {
    overlay.shown[overlay.name] ^= 1 << entries[k].bit;
    active.draw();
  });
}

function regionList() {
  const chosen = active.regions[active.chosen];
  byId('region-actions').replaceChildren(...(chosen ? [corrections.regionActions(chosen)] : []));
  const items = active.regions.map(({name}, k) =>
    make('li', {},
      make('button', {type: 'button', 'aria-pressed': String(k === active.chosen), onclick: () => active.chooseRegion(k === active.chosen ? -1 : k)}, name),
      make('button', {type: 'button', title: 'Show it', onclick: () => active.showRegion(k)}, 'go to'),
      make('button', {type: 'button', title: 'Remove it', onclick: () => active.removeRegion(k)}, '✕')),
  );
  byId('region-list').replaceChildren(...items);
}

let asked = 0;
async function numbers() {
  const pane = active;
  const region = pane.regions[pane.chosen];
  const mine = ++asked;
  const words = byId('search').value.split(/\s+/).filter(Boolean).slice(0, 8);
  byId('numbers-of').textContent = region ? region.name : 'Whole slide';
  byId('numbers-note').textContent = 'measuring …';
  try {
    const {found, rows} = await postJson(`slides/${pane.key}/metrics`, {words, region: region?.geometry ?? null});
    if (mine !== asked) return;
    byId('metrics').replaceChildren(...metricRows(rows, heatOf));
    byId('numbers-note').textContent = words.length ? `${count(found)} found${found > rows.length ? `, the first ${rows.length} shown` : ''}` : '';
    byId('names').replaceChildren(...rows.map(({name}) => make('option', {value: name})));
  } catch (error) {
    if (mine !== asked) return;
    byId('metrics').replaceChildren();
    byId('numbers-note').textContent = error.message;
  }
}

// Heat maps.

function heatOf(name) {
  byId('heat-metric').value = name;
  byId('heat').requestSubmit();
}

function heatPanel() {
  const {heat, info} = active;
  const largest = Math.max(...info.size) * info.mpp[0];
  const sizes = HEAT_SIZES_UM.filter((um) => (largest / um) ** 2 < 4000);
  const size = byId('heat-size');
  size.replaceChildren(...sizes.map((um) => make('option', {value: `${um}um`}, um < 1000 ? `${um} µm` : `${um / 1000} mm`)));
  size.value = `${sizes.find((um) => largest / um < 40) ?? sizes.at(-1)}um`;
  byId('heat-scale').hidden = !heat;
  byId('heat-note').textContent = heat ? `${heat.formula}; ${heat.known} of ${heat.tiles.length} tiles have a value` : '';
  byId('heat-low').textContent = heat?.low ?? '';
  byId('heat-high').textContent = heat?.high ?? '';
}

async function showHeat(event) {
  event.preventDefault();
  const pane = active;
  const metric = byId('heat-metric').value.trim();
  if (!metric) return;
  byId('heat-note').textContent = 'measuring the tiles …';
  const tile = byId('heat-size').value;
  try {
    pane.heat = heated(await postJson(`slides/${pane.key}/heat`, {metric, tile}), pane.info.mpp);
  } catch (error) {
    tell(error);
  }
  pane.draw();
  heatPanel();
  byId('heat-size').value = tile;
}

// Regions in files: px of the slide, as QuPath has them.

const inPx = (geometry, [x, y], back = false) => {
  const scale = back ? x / y : y / x;
  const moved = (at) => (typeof at[0] === 'number' ? [at[0], at[1] * scale] : at.map(moved));
  return {type: geometry.type, coordinates: moved(geometry.coordinates)};
};

async function importRegions({target}) {
  const [file] = target.files;
  target.value = '';
  try {
    const data = JSON.parse(await file.text());
    const features = Array.isArray(data) ? data : data.features ?? [data];
    const shapes = features.filter(({geometry}) => ['Polygon', 'MultiPolygon'].includes(geometry?.type));
    if (!shapes.length) throw new Error(`${file.name}: no polygons in it`);
    for (const {geometry, properties} of shapes) {
      const name = properties?.name ?? properties?.classification?.name ?? freeName(active);
      active.regions.push({name: String(name).slice(0, 100), geometry: inPx(geometry, active.info.mpp)});
    }
    active.chooseRegion(active.regions.length - 1);
  } catch (error) {
    tell(error);
  }
}

function exportRegions() {
  const features = active.regions.map(({name, geometry}) => ({
    type: 'Feature',
    properties: {objectType: 'annotation', name, classification: {name}},
    geometry: inPx(geometry, active.info.mpp, true),
  }));
  const text = JSON.stringify({type: 'FeatureCollection', features});
  const link = make('a', {href: URL.createObjectURL(new Blob([text], {type: 'application/geo+json'})), download: 'regions.geojson'});
  link.click();
  URL.revokeObjectURL(link.href);
}

// What the user touches.

function setDrawing(on) {
  byId('draw').setAttribute('aria-pressed', String(on));
  for (const pane of panes) pane.setDrawing(on);
}

const isDrawing = () => byId('draw').getAttribute('aria-pressed') === 'true';

function listen() {
  const on = (id, type, act) => byId(id).addEventListener(type, act);
  on('slide', 'change', ({target}) => open(0, target.value).catch(tell));
  on('beside', 'change', ({target}) => beside(target.value).catch(tell));
  on('fit', 'click', () => active.fit());
  on('native', 'click', () => active.setView({...active.view, zoom: 0}, true));
  on('draw', 'click', () => setDrawing(!isDrawing()));
  on('import', 'click', () => byId('file').click());
  on('file', 'change', importRegions);
  on('export', 'click', exportRegions);
  on('all-cells', 'click', () => show(active.info.classes.keys(), true));
  on('no-cells', 'click', () => show(active.info.classes.keys(), false));
  on('confidence', 'input', ({target}) => {
    byId('confidence-shown').textContent = Number(target.value).toFixed(2);
    active.cells.setLeast(target.value);
    active.draw();
  });
  on('overlay', 'change', ({target}) => {
    active.setOverlay({name: target.value});
    mapToggles();
  });
  on('strength', 'input', ({target}) => active.setOverlay({strength: Number(target.value)}));
  on('lines', 'change', ({target}) => active.setOverlay({lines: target.checked}));
  on('heat', 'submit', showHeat);
  on('heat-off', 'click', () => {
    active.heat = null;
    active.draw();
    heatPanel();
  });
  let later;
  on('search', 'input', () => {
    clearTimeout(later);
    later = setTimeout(numbers, 250);
  });
  addEventListener('keydown', pressed);
  addEventListener('keyup', ({key}) => key === ' ' && raw(false));
}

function raw(on) {
  for (const pane of panes) {
    if (pane.raw === on || !pane.info) continue;
    pane.raw = on;
    pane.draw();
  }
}

function pressed(event) {
  if (!active || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.('input:not([type=checkbox], [type=range]), select, textarea')) return;
  const acts = {f: () => active.fit(), n: () => byId('native').click(), q: () => byId('queue-cells').click(), w: () => byId('queue-regions').click(), r: () => setDrawing(!isDrawing()), Escape: () => setDrawing(false)};
  if (event.key === ' ' && !event.target.closest?.('input, button, summary')) {
    event.preventDefault();
    raw(true);
  } else if (/^[1-9]$/.test(event.key) && active.selected >= 0) {
    corrections.relabel([active.selected], active.info.classes[event.key - 1].key);
  } else acts[event.key]?.();
}

/** Open a second slide beside the first, or close it; they move together. */
async function beside(key) {
  if (!key) {
    for (const pane of panes.splice(1)) pane.close();
    active = panes[0];
    return panels();
  }
  await open(1, key);
  told.moved(panes[0]);
}

/** Open the first slide that opens, and say why those before it do not. */
async function openFirst() {
  for (const {key} of slides) {
    try {
      return await open(0, key);
    } catch (error) {
      tell(error);
    }
  }
}

async function start() {
  listen();
  for (const canvas of document.querySelectorAll('.scale-of canvas')) drawScale(canvas);
  slides = await getJson('slides');
  const options = () => slides.map(({key, name, state, cells}) => make('option', {value: key}, `${name}${cells ? ` (${count(cells)} cells)` : ` (${state})`}`));
  byId('slide').replaceChildren(...options());
  byId('beside').replaceChildren(make('option', {value: ''}, 'nothing'), ...options());
  byId('second').hidden = slides.length < 2;
  await openFirst();
  document.body.dataset.ready = 'true';
}

window.histome = {panes, get active() { return active; }, ringsOf}; // for those who look with a console
start().catch(tell);
