// One slide on one canvas: pixels, maps, heat, cells and regions, all under the same camera.

import {BitmapLayer, Deck, OrthographicView, PathLayer, ScatterplotLayer, SolidPolygonLayer, TileLayer} from './deck.js';
import {CellTiles} from './celltiles.js';
import {Cells, boundsOf, ringsOf} from './cells.js';
import {getJson, getPicture} from './net.js';
import {Outlines} from './outlines.js';

const FAR = 100_000; // more cells than this in view are drawn as density
const CLOSEST = 5; // 32 screen px per px of the slide
const REGION = [20, 20, 20, 255];
const EXCLUDED = [190, 30, 20, 255];
const CHOSEN = [255, 214, 10, 255];

// A pixel of a tile is half a pixel of the screen at the least: coarser copies of it would only take time.
const SMOOTH = {minFilter: 'linear', magFilter: 'linear', mipmapFilter: 'none'};

// Px of the canvas for one of the page. Without a graphics card half of it while the camera moves: a quarter of the work.
const SHARP = Math.min(devicePixelRatio, 2);
const MOVING = inSoftware() ? SHARP / 2 : SHARP;
const REST_MS = 250;

// Nearly everywhere, or nothing in particular: shown only when it is asked for.
const UNREMARKABLE = new Set(['VALID_TISSUE', 'OTHER']);

const element = (name, parent) => {
  const made = document.createElement('div');
  made.className = name;
  parent.append(made);
  return made;
};

export class Pane {
  /** A pane in `parent`; `told` is called with (what, pane, value) when the user does something in it. */
  constructor(parent, told) {
    this.told = told;
    this.root = element('pane', parent);
    this.title = element('title', this.root);
    this.missing = element('missing', this.root);
    this.scale = element('scale', this.root);
    this.tip = element('tip', this.root);
    this.missing.hidden = this.tip.hidden = true;
    this.overlay = {name: '', shown: {}, strength: 0.4, lines: false};
    this.heat = null;
    this.regions = [];
    this.chosen = -1;
    this.drawn = null; // the outline that is being drawn
    this.raw = false;
    this.frames = {count: 0, ms: 0};
    this.view = {target: [0, 0, 0], zoom: 0};
    this.deck = new Deck({
      parent: this.root,
      views: new OrthographicView({id: 'slide', flipY: true}),
      controller: this.controls(),
      viewState: this.view,
      layers: [],
      useDevicePixels: SHARP,
      deviceProps: {type: 'webgl', webgl: {antialias: false}}, // what has edges is a picture, or lines that are wide
      onViewStateChange: ({viewState}) => this.setView(viewState, true),
      onClick: ({coordinate}) => coordinate && this.click(coordinate),
      onHover: ({coordinate, x, y}) => this.hover(coordinate, x, y),
      onResize: () => this.draw(),
      onAfterRender: () => this.frames.count++,
      getCursor: ({isDragging}) => (this.drawing ? 'crosshair' : isDragging ? 'grabbing' : 'default'),
    });
    this.root.addEventListener('pointerdown', () => told('active', this), true);
    this.root.addEventListener('pointerdown', (event) => this.drawing && this.startDrawing(event), true);
  }

  controls() {
    return {scrollZoom: {speed: 0.01, smooth: false}, doubleClickZoom: false, dragPan: !this.drawing, inertia: 250};
  }

  async open(key) {
    this.key = key;
    this.info = null;
    const info = await getJson(`slides/${key}`);
    const cells = await Cells.load(key, info.classes, info.size);
    if (this.key !== key) return; // another one was chosen meanwhile
    this.info = info;
    this.cells = cells;
    this.cellTiles = new CellTiles(cells, new Outlines(key, info.outlines, info.size), info.mpp[0]);
    this.density = this.heat = null;
    this.regions = [];
    this.excluded = [];
    this.edition = 0; // one more with every correction: maps are drawn anew
    this.chosen = this.selected = -1;
    this.title.textContent = info.name;
    this.missing.hidden = !info.missing;
    this.missing.textContent = info.missing;
    const first = Object.keys(info.maps).includes('tissue') ? 'tissue' : '';
    const known = this.overlay.name in info.maps || this.overlay.name in info.shares;
    this.setOverlay({name: known ? this.overlay.name : first});
    this.fit();
  }

  close() {
    this.info = null;
    this.deck.finalize();
    this.root.remove();
  }

  // The camera.

  fit() {
    const {clientWidth, clientHeight} = this.root;
    const [width, height] = this.info.size;
    const zoom = Math.log2(0.95 * Math.min(clientWidth / width, clientHeight / height));
    this.setView({target: [width / 2, height / 2, 0], zoom});
  }

  goTo(x, y, zoom = 1) {
    this.setView({target: [x, y, 0], zoom: Math.max(zoom, this.view.zoom)});
  }

  setView(view, byUser = false) {
    this.view = {target: view.target, zoom: view.zoom, minZoom: this.furthest(), maxZoom: CLOSEST};
    if (byUser) this.told('moved', this);
    if (MOVING !== SHARP) this.blur();
    this.draw();
  }

  /** Draw coarsely until the camera rests. */
  blur() {
    clearTimeout(this.resting);
    this.deck.setProps({useDevicePixels: MOVING});
    this.resting = setTimeout(() => this.info && this.deck.setProps({useDevicePixels: SHARP}), REST_MS);
  }

  furthest() {
    return this.info ? -Math.log2(Math.max(...this.info.size) / 200) : -20;
  }

  /** What is in view, [left, top, right, bottom], and `grow` times its sides beyond it. */
  box(grow = 0) {
    const half = [this.root.clientWidth, this.root.clientHeight].map((px) => (0.5 + grow) * px * 2 ** -this.view.zoom);
    const [x, y] = this.view.target;
    return [x - half[0], y - half[1], x + half[0], y + half[1]];
  }

  /** "far", "points" or "near": how cells are drawn at this distance. */
  mode() {
    if (this.cells.howMany(this.box()) > FAR) return 'far';
    return this.cellTiles.shaped(Math.ceil(this.view.zoom)) ? 'near' : 'points';
  }

  // What is drawn.

  draw() {
    if (!this.info) return;
    const begun = performance.now();
    const {zoom, target} = this.view;
    this.deck.setProps({
      viewState: {...this.view, zoom, target},
      controller: this.controls(),
      layers: [
        this.imageLayer(),
        ...(this.raw ? [] : [this.mapLayer(), this.heatLayer(), this.cellLayer()]),
        ...this.regionLayers(),
      ],
    });
    this.drawScale();
    this.frames.ms = performance.now() - begun;
    this.told('drawn', this);
  }

  tiles(id, getTileData, {opacity = 1, textureParameters = SMOOTH, ...rest} = {}) {
    const {size, tile, levels} = this.info;
    return new TileLayer({
      id: `${this.key}-${id}`,
      tileSize: tile, // SIDE of the tiles of cells, too
      minZoom: 1 - levels,
      maxZoom: 0,
      extent: [0, 0, ...size],
      maxRequests: 8,
      opacity: opacity ** 2.2, // deck.gl takes opacity as it is seen, not as it is mixed
      getTileData,
      renderSubLayers: ({data, tile: {index}, ...more}) => {
        if (!data) return null;
        const step = 2 ** -index.z;
        const [left, top] = [index.x * tile * step, index.y * tile * step];
        const bounds = [left, top + data.height * step, left + data.width * step, top];
        return new BitmapLayer({...more, data: null, image: data, bounds, textureParameters});
      },
      onTileError: () => {},
      ...rest,
    });
  }

  imageLayer() {
    if (this.info.missing) return null;
    const path = ({z, x, y}) => `slides/${this.key}/image/${-z}/${x}/${y}`;
    return this.tiles('image', ({index, signal}) => getPicture(path(index), signal));
  }

  mapLayer() {
    const {name, shown, strength, lines} = this.overlay;
    const bits = shown[name];
    if (!name || !bits || !strength) return null;
    const path = ({z, x, y}) => `slides/${this.key}/map/${name}/${-z}/${x}/${y}?shown=${bits}&lines=${lines}`;
    return this.tiles(`${name}-${bits}-${lines}-${this.edition}`, ({index, signal}) => getPicture(path(index), signal), {
      // Near, the nuclei are looked at: a fill gives way to them, borders stay.
      opacity: lines ? Math.max(strength, 0.7) : this.mode() === 'near' ? strength / 2 : strength,
      textureParameters: {minFilter: 'nearest', magFilter: 'nearest', mipmapFilter: 'none'},
    });
  }

  heatLayer() {
    if (!this.heat) return null;
    return new SolidPolygonLayer({
      id: `${this.key}-heat`,
      data: this.heat.tiles,
      getPolygon: ({box: [left, top, right, bottom]}) => [[left, top], [right, top], [right, bottom], [left, bottom]],
      getFillColor: ({color}) => color,
      opacity: Math.max(this.overlay.strength, 0.2) ** 2.2,
    });
  }

  cellLayer() {
    if (this.mode() === 'far') return this.densityLayer();
    return this.tiles('cells', ({index}) => this.cellTiles.picture(index), {
      maxZoom: CLOSEST,
      updateTriggers: {getTileData: this.cells.version},
      parameters: {blendColorSrcFactor: 'one'}, // a canvas gives colors times their opacity
    });
  }

  densityLayer() {
    if (this.density?.version !== this.cells.version)
      this.density = {...this.cells.density(), version: this.cells.version};
    const {image, bounds} = this.density;
    return new BitmapLayer({id: `${this.key}-density`, image, bounds});
  }

  regionLayers() {
    const data = this.regionOutlines();
    const lines = (id, width, color) =>
      new PathLayer({
        id: `${this.key}-regions-${id}`,
        data,
        getPath: ({ring}) => ring,
        getColor: color,
        widthUnits: 'pixels',
        getWidth: width,
        jointRounded: true,
      });
    return [lines('under', 4.5, [255, 255, 255, 220]), lines('over', 2.2, ({color}) => color), this.selectedLayer()];
  }

  /** The rings of all regions with their colors; the same array while they stay as they are. */
  regionOutlines() {
    const of = [this.regions, this.regions.length, this.chosen, this.excluded, this.drawn];
    if (this.outlined?.of.every((value, k) => value === of[k])) return this.outlined.rings;
    const rings = this.regions.flatMap(({geometry}, k) =>
      ringsOf(geometry).map((ring) => ({ring: [...ring, ring[0]], color: k === this.chosen ? CHOSEN : REGION})),
    );
    for (const geometry of this.excluded) for (const ring of ringsOf(geometry)) rings.push({ring, color: EXCLUDED});
    if (this.drawn) rings.push({ring: this.drawn, color: CHOSEN});
    this.outlined = {of, rings};
    return rings;
  }

  selectedLayer() {
    if (!(this.selected >= 0)) return null;
    const at = Array.from(this.cells.xy.subarray(2 * this.selected, 2 * this.selected + 2));
    return new ScatterplotLayer({
      id: `${this.key}-selected`,
      data: [at],
      getPosition: (each) => each,
      radiusUnits: 'common',
      getRadius: 9 / this.info.mpp[0],
      radiusMinPixels: 9,
      filled: false,
      stroked: true,
      lineWidthUnits: 'pixels',
      getLineWidth: 2.5,
      getLineColor: CHOSEN,
      updateTriggers: {getPosition: this.selected},
    });
  }

  drawScale() {
    const px = 2 ** this.view.zoom / this.info.mpp[0]; // per um
    const power = 10 ** Math.floor(Math.log10(140 / px));
    const um = [5, 2, 1].map((step) => step * power).find((length) => length * px <= 140);
    this.scale.replaceChildren(um >= 1000 ? `${um / 1000} mm` : `${um} µm`, document.createElement('i'));
    this.scale.lastChild.style.width = `${um * px}px`;
  }

  // What is done in it.

  setOverlay(change) {
    Object.assign(this.overlay, change);
    const {name, shown} = this.overlay;
    const drawn = (this.info.maps[name] ?? []).filter(({key}) => !UNREMARKABLE.has(key));
    if (name) shown[name] ??= name in this.info.shares ? 1 : drawn.reduce((sum, {bit}) => sum | (1 << bit), 0);
    this.draw();
  }

  click([x, y]) {
    if (this.drawing || !this.info) return;
    const reach = Math.max(8 / this.info.mpp[0], 8 * 2 ** -this.view.zoom);
    this.select(this.cells.nearest(x, y, reach));
  }

  select(row) {
    this.selected = row;
    this.draw();
    this.told('cell', this, row);
  }

  hover(coordinate, x, y) {
    const tile = coordinate && this.heat?.tiles.find(({box}) => within(box, coordinate));
    this.tip.hidden = !tile;
    if (!tile) return;
    this.tip.textContent = tile.reason ? `n/a: ${tile.reason}` : tile.text;
    this.tip.style.left = `${x + 12}px`;
    this.tip.style.top = `${y + 12}px`;
  }

  addRegion(name, geometry) {
    this.regions.push({name, geometry});
    this.chooseRegion(this.regions.length - 1);
  }

  /** Show and choose a square [left, top, right, bottom] that a queue leads to, in place of the last such one. */
  askAbout([left, top, right, bottom], name) {
    this.regions = this.regions.filter(({queued}) => !queued);
    const ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
    this.regions.push({name, geometry: {type: 'Polygon', coordinates: [ring]}, queued: true});
    this.showRegion(this.regions.length - 1);
    this.chooseRegion(this.regions.length - 1);
  }

  removeRegion(k) {
    this.regions.splice(k, 1);
    this.chooseRegion(-1);
  }

  chooseRegion(k) {
    this.chosen = k;
    this.draw();
    this.told('region', this);
  }

  showRegion(k) {
    const [left, top, right, bottom] = boundsOf(ringsOf(this.regions[k].geometry));
    const {clientWidth, clientHeight} = this.root;
    const zoom = Math.log2(0.7 * Math.min(clientWidth / (right - left), clientHeight / (bottom - top)));
    this.setView({target: [(left + right) / 2, (top + bottom) / 2, 0], zoom: Math.min(zoom, CLOSEST)}, true);
  }

  setDrawing(on) {
    this.drawing = on;
    this.drawn = null;
    this.draw();
  }

  startDrawing(event) {
    if (event.button !== 0 || !this.info) return;
    event.stopPropagation();
    event.preventDefault();
    const frame = this.root.getBoundingClientRect();
    const place = ({clientX, clientY}) => {
      const off = [clientX - frame.left - frame.width / 2, clientY - frame.top - frame.height / 2];
      return off.map((px, axis) => this.view.target[axis] + px * 2 ** -this.view.zoom);
    };
    this.drawn = [place(event)];
    const move = (moved) => {
      this.drawn = [...this.drawn, place(moved)];
      this.draw();
    };
    const end = () => {
      this.root.removeEventListener('pointermove', move, true);
      removeEventListener('pointerup', end, true);
      const ring = this.drawn;
      this.drawn = null;
      if (ring.length > 2) this.told('drawnRegion', this, [...ring, ring[0]]);
      this.draw();
    };
    this.root.addEventListener('pointermove', move, true);
    addEventListener('pointerup', end, true);
  }
}

const within = ([left, top, right, bottom], [x, y]) => x >= left && x < right && y >= top && y < bottom;

/** Whether this browser draws without a graphics card. */
function inSoftware() {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  const told = gl?.getExtension('WEBGL_debug_renderer_info');
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : '');
}
