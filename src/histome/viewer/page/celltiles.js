// Cells as pictures in tiles. A picture is drawn once, when its tile comes into view; from then on a frame costs the
// same however many cells there are, also where there is no graphics card.

export const SIDE = 512;
const NUCLEUS_UM = 3.2; // radius of a point
const LARGEST_UM = 20; // what a nucleus may reach from its center
const SHAPED = 1.3; // px per um from which a nucleus has a shape
// In px of a tile, of which one to two are a pixel of the screen.
const POINT_PX = [1.7, 10];
const LINE_PX = 2.6;

export class CellTiles {
  /** Of `cells` and their `outlines` on a slide of `mpp`. */
  constructor(cells, outlines, mpp) {
    Object.assign(this, {cells, outlines, mpp});
  }

  /** Whether nuclei have their outlines on level `z`, of 2 ** z px for a unit. */
  shaped(z) {
    return 2 ** z / this.mpp > SHAPED;
  }

  /** The picture of a tile; null where no cell is shown in it. */
  async picture({x, y, z}) {
    const scale = 2 ** z;
    const [left, top] = [(x * SIDE) / scale, (y * SIDE) / scale];
    const reach = this.shaped(z) ? LARGEST_UM / this.mpp : POINT_PX[1] / scale;
    const box = [left - reach, top - reach, left + SIDE / scale + reach, top + SIDE / scale + reach];
    const rows = this.cells.rowsIn(box);
    if (!rows.length) return null;
    // Drawn by the processor: a tile is to be sent as it is, and there may be no graphics card.
    const context = new OffscreenCanvas(SIDE, SIDE).getContext('2d', {willReadFrequently: true});
    context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
    if (!this.shaped(z)) this.drawPoints(context, rows, scale);
    else this.drawOutlines(context, await this.outlines.of(box), new Set(rows), scale);
    return context.canvas.transferToImageBitmap();
  }

  /** Discs, each a copy of its class's. */
  drawPoints(context, rows, scale) {
    const [least, most] = POINT_PX;
    const radius = Math.min(Math.max((NUCLEUS_UM / this.mpp) * scale, least), most);
    const discs = this.cells.colors.map((color) => disc(radius, color));
    const {e: left, f: top} = context.getTransform();
    context.resetTransform();
    const half = discs[0].width / 2;
    for (const i of rows) {
      const [x, y] = [this.cells.xy[2 * i] * scale + left, this.cells.xy[2 * i + 1] * scale + top];
      context.drawImage(discs[this.cells.kind[i]], Math.round(x - half), Math.round(y - half));
    }
  }

  /** Closed lines, all of a class in one stroke. */
  drawOutlines(context, squares, wanted, scale) {
    const paths = this.cells.colors.map(() => new Path2D());
    for (const {rows, starts, xy} of squares)
      rows.forEach((row, k) => {
        if (!wanted.has(row)) return;
        const path = paths[this.cells.kind[row]];
        for (let corner = starts[k]; corner < starts[k + 1]; corner++) {
          if (corner === starts[k]) path.moveTo(xy[2 * corner], xy[2 * corner + 1]);
          else path.lineTo(xy[2 * corner], xy[2 * corner + 1]);
        }
        path.closePath();
      });
    context.lineWidth = LINE_PX / scale;
    context.lineJoin = 'round';
    paths.forEach((path, kind) => {
      context.strokeStyle = css(this.cells.colors[kind]);
      context.stroke(path);
    });
  }
}

const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

function disc(radius, color) {
  const side = 2 * Math.ceil(radius + 0.5);
  const context = new OffscreenCanvas(side, side).getContext('2d', {willReadFrequently: true});
  context.fillStyle = css(color);
  context.arc(side / 2, side / 2, radius, 0, 2 * Math.PI);
  context.fill();
  return context.canvas;
}
