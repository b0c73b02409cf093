// Outlines of the cells that are near: fetched by squares, drawn in the colors of their classes.

import {getBytes} from './net.js';

const KEPT = 150;

export class Outlines {
  constructor(key, side, cells, arrived) {
    Object.assign(this, {key, side, cells, arrived});
    this.squares = new Map(); // the last one used is the last one forgotten
  }

  /** Binary paths of the shown cells of each square that a box touches, and whether none is still on its way. */
  paths([left, top, right, bottom]) {
    const [columns, rows] = this.cells.size.map((length) => Math.ceil(length / this.side));
    const found = [];
    let whole = true;
    for (let y = Math.max(0, Math.floor(top / this.side)); y <= Math.min(rows - 1, bottom / this.side); y++)
      for (let x = Math.max(0, Math.floor(left / this.side)); x <= Math.min(columns - 1, right / this.side); x++) {
        const square = this.square(x, y);
        if (square.packed) found.push({id: `${x}-${y}`, data: this.drawn(square)});
        else whole = false;
      }
    return {found, whole};
  }

  square(x, y) {
    const id = `${x}/${y}`;
    const square = this.squares.get(id) ?? this.ask(id);
    this.squares.delete(id);
    this.squares.set(id, square);
    if (this.squares.size > KEPT) this.squares.delete(this.squares.keys().next().value);
    return square;
  }

  ask(id) {
    const square = {version: -1};
    getBytes(`slides/${this.key}/outlines/${id}`)
      .then((bytes) => {
        const n = new Uint32Array(bytes, 0, 1)[0];
        square.packed = {
          rows: new Uint32Array(bytes, 4, n),
          corners: new Uint32Array(bytes, 4 + 4 * n, n),
          xy: new Float32Array(bytes, 4 + 8 * n),
        };
        this.arrived();
      })
      .catch(() => this.squares.delete(id));
    return square;
  }

  /** Closed paths of the shown cells, with a color at each corner. */
  drawn(square) {
    if (square.version === this.cells.version) return square.data;
    const {rows, corners, xy} = square.packed;
    const path = new Float32Array(xy.length + 2 * rows.length);
    const colors = new Uint8Array(2 * path.length);
    const starts = [];
    let from = 0;
    let to = 0;
    rows.forEach((row, k) => {
      if (this.cells.isShown(row) && corners[k]) {
        starts.push(to / 2);
        path.set(xy.subarray(from, from + 2 * corners[k]), to);
        path.set(xy.subarray(from, from + 2), to + 2 * corners[k]);
        const color = this.cells.colors[this.cells.kind[row]];
        for (let corner = 0; corner <= corners[k]; corner++) colors.set(color, 2 * to + 4 * corner);
        to += 2 * corners[k] + 2;
      }
      from += 2 * corners[k];
    });
    square.version = this.cells.version;
    square.data = {
      length: starts.length,
      startIndices: new Uint32Array([...starts, to / 2]),
      attributes: {
        getPath: {value: path.subarray(0, to), size: 2},
        getColor: {value: colors.subarray(0, 2 * to), size: 4},
      },
    };
    return square.data;
  }
}
