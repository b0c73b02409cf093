// The cells of a slide as typed arrays: which are shown, where they lie, and what is drawn of them from afar.

import {getBytes} from './net.js';

const BUCKET = 256; // side of the squares that cells are sorted by, in the slide's unit
const DENSITY_BINS = 700;
export const COUNTED = 1;
export const ABSTAINED = 2;

export class Cells {
  /** `bytes` as the server packs them; `classes` with colors; `size` of the slide. */
  constructor(bytes, classes, size) {
    this.count = bytes.byteLength / 11;
    this.xy = new Float32Array(bytes, 0, 2 * this.count);
    this.version = 0; // of what is shown: drawn arrays are made again when it has changed
    this.setKinds(bytes.slice(8 * this.count));
    this.colors = classes.map(({color}) => rgb(color));
    this.size = size;
    this.shown = new Uint8Array(classes.length).fill(1);
    this.least = 0;
    this.sort();
  }

  static async load(key, classes, size) {
    return new Cells(await getBytes(`slides/${key}/cells`), classes, size);
  }

  /** Sort the rows by bucket, in linear time: those of bucket b are order[start[b]..start[b + 1]]. */
  sort() {
    this.columns = Math.max(1, Math.ceil(this.size[0] / BUCKET));
    this.rows = Math.max(1, Math.ceil(this.size[1] / BUCKET));
    this.start = new Uint32Array(this.columns * this.rows + 1);
    const bucket = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) {
      bucket[i] = this.bucketOf(this.xy[2 * i], this.xy[2 * i + 1]);
      this.start[bucket[i] + 1]++;
    }
    for (let b = 0; b < this.columns * this.rows; b++) this.start[b + 1] += this.start[b];
    this.order = new Uint32Array(this.count);
    const free = this.start.slice();
    for (let i = 0; i < this.count; i++) this.order[free[bucket[i]]++] = i;
  }

  bucketOf(x, y) {
    const column = Math.min(Math.max(Math.floor(x / BUCKET), 0), this.columns - 1);
    const row = Math.min(Math.max(Math.floor(y / BUCKET), 0), this.rows - 1);
    return row * this.columns + column;
  }

  /** Call `take(first, end)` with the ranges of `order` that a box [left, top, right, bottom] touches. */
  eachRange([left, top, right, bottom], take) {
    const first = this.bucketOf(left, top);
    const last = this.bucketOf(right, bottom);
    const width = (last % this.columns) - (first % this.columns);
    for (let b = first; b <= last; b += this.columns) take(this.start[b], this.start[b + width + 1]);
  }

  /** How many cells, shown or not, lie in the buckets of a box. */
  howMany(box) {
    let found = 0;
    this.eachRange(box, (first, end) => (found += end - first));
    return found;
  }

  isShown(i) {
    return this.shown[this.kind[i]] === 1 && this.confidence[i] >= this.least;
  }

  show(kind, on) {
    this.shown[kind] = on ? 1 : 0;
    this.version++;
  }

  setLeast(confidence) {
    this.least = Math.round(confidence * 255);
    this.version++;
  }

  /** Take what a correction may change: classes, confidences and flags. */
  setKinds(bytes) {
    const n = this.count;
    [this.kind, this.confidence, this.flags] = [0, n, 2 * n].map((at) => new Uint8Array(bytes, at, n));
    this.version++;
  }

  /** How many cells there are of each class. */
  counts() {
    const found = new Array(this.colors.length).fill(0);
    for (const kind of this.kind) found[kind]++;
    return found;
  }

  /** Rows of the shown cells in a box. */
  rowsIn(box) {
    const [left, top, right, bottom] = box;
    const found = [];
    this.eachRange(box, (first, end) => {
      for (let k = first; k < end; k++) {
        const i = this.order[k];
        const [x, y] = [this.xy[2 * i], this.xy[2 * i + 1]];
        if (x >= left && x < right && y >= top && y < bottom && this.isShown(i)) found.push(i);
      }
    });
    return found;
  }

  /** The row of the shown cell that is nearest to a point, at most `reach` away; -1 where there is none. */
  nearest(x, y, reach) {
    let best = reach * reach;
    let found = -1;
    this.eachRange([x - reach, y - reach, x + reach, y + reach], (first, end) => {
      for (let k = first; k < end; k++) {
        const i = this.order[k];
        const far = (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2;
        if (far < best && this.isShown(i)) [best, found] = [far, i];
      }
    });
    return found;
  }

  /** Rows of the shown cells in the polygons of a GeoJSON geometry, by the even-odd rule. */
  within(geometry) {
    const rings = ringsOf(geometry);
    const found = [];
    this.eachRange(boundsOf(rings), (first, end) => {
      for (let k = first; k < end; k++) {
        const i = this.order[k];
        if (this.isShown(i) && holds(rings, this.xy[2 * i], this.xy[2 * i + 1])) found.push(i);
      }
    });
    return found;
  }

  /** The whole slide from afar: mean color of the shown cells of each bin, the more opaque the more there are. */
  density() {
    const side = Math.max(...this.size) / DENSITY_BINS;
    const [width, height] = this.size.map((length) => Math.max(1, Math.ceil(length / side)));
    const sums = new Float32Array(4 * width * height);
    const colors = this.colors.flat();
    for (let i = 0; i < this.count; i++) {
      if (!this.isShown(i)) continue;
      const column = Math.min(Math.max(Math.floor(this.xy[2 * i] / side), 0), width - 1);
      const row = Math.min(Math.max(Math.floor(this.xy[2 * i + 1] / side), 0), height - 1);
      const at = 4 * (row * width + column);
      const color = 4 * this.kind[i];
      sums[at] += colors[color];
      sums[at + 1] += colors[color + 1];
      sums[at + 2] += colors[color + 2];
      sums[at + 3]++;
    }
    return {image: shade(sums, width, height), bounds: [0, height * side, width * side, 0]};
  }
}

function shade(sums, width, height) {
  const counts = sums.filter((n, at) => at % 4 === 3 && n > 0).sort();
  const high = counts[Math.floor(0.98 * (counts.length - 1))] || 1;
  const picture = new ImageData(width, height);
  for (let at = 0; at < sums.length; at += 4) {
    const n = sums[at + 3];
    if (!n) continue;
    for (let c = 0; c < 3; c++) picture.data[at + c] = sums[at + c] / n;
    picture.data[at + 3] = 60 + 180 * Math.min(1, Math.sqrt(n / high));
  }
  return picture;
}

export const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)).concat(255);

export const ringsOf = ({type, coordinates}) => (type === 'Polygon' ? coordinates : coordinates.flat());

export function boundsOf(rings) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of rings.flat()) {
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return box;
}

export function holds(rings, x, y) {
  let inside = false;
  for (const ring of rings) {
    for (let a = 0, b = ring.length - 1; a < ring.length; b = a++) {
      const [x0, y0] = ring[a];
      const [x1, y1] = ring[b];
      if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
    }
  }
  return inside;
}
