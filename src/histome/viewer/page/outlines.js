// Outlines of the cells that are near: fetched by squares.

import {getBytes} from './net.js';

const KEPT = 150;

export class Outlines {
  constructor(key, side, size) {
    Object.assign(this, {key, side, size});
    this.squares = new Map(); // the last one used is the last one forgotten
  }

  /** The outlines of the squares that a box touches: `rows` of the table, and where each begins among the corners `xy`. */
  async of([left, top, right, bottom]) {
    const [columns, rows] = this.size.map((length) => Math.ceil(length / this.side));
    const found = [];
    for (let y = Math.max(0, Math.floor(top / this.side)); y <= Math.min(rows - 1, bottom / this.side); y++)
      for (let x = Math.max(0, Math.floor(left / this.side)); x <= Math.min(columns - 1, right / this.side); x++)
        found.push(this.square(`${x}/${y}`));
    return Promise.all(found);
  }

  square(id) {
    const square = this.squares.get(id) ?? this.ask(id);
    this.squares.delete(id);
    this.squares.set(id, square);
    if (this.squares.size > KEPT) this.squares.delete(this.squares.keys().next().value);
    return square;
  }

  async ask(id) {
    try {
      const bytes = await getBytes(`slides/${this.key}/outlines/${id}`);
      const n = new Uint32Array(bytes, 0, 1)[0];
      const starts = new Uint32Array(n + 1);
      new Uint32Array(bytes, 4 + 4 * n, n).forEach((corners, k) => (starts[k + 1] = starts[k] + corners));
      return {rows: new Uint32Array(bytes, 4, n), starts, xy: new Float32Array(bytes, 4 + 8 * n)};
    } catch (error) {
      this.squares.delete(id); // asked for again when it is needed again
      throw error;
    }
  }
}
