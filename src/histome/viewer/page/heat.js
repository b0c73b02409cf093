// A metric in square tiles, in colors from low to high that every eye tells apart (viridis).

const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const NO_VALUE = [128, 128, 128, 90];

function colorAt(share) {
  const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const k = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[k].map((low, c) => Math.round(low + (at - k) * (STOPS[k + 1][c] - low))).concat(255);
}

/** Tiles in the slide's unit with a color each, and the lowest and highest value's text. */
export function heated({size_um: side, tiles, formula}, [mpp]) {
  const known = tiles.filter(({value}) => value !== null);
  const low = known.reduce((a, b) => (b.value < a.value ? b : a), known[0]);
  const high = known.reduce((a, b) => (b.value > a.value ? b : a), known[0]);
  const span = known.length ? high.value - low.value || 1 : 1;
  const colored = tiles.map(({x, y, value, text, reason}) => ({
    box: [x, y, x + side, y + side].map((um) => um / mpp),
    color: value === null ? NO_VALUE : colorAt((value - low.value) / span),
    text,
    reason,
  }));
  return {tiles: colored, formula, low: low?.text ?? '', high: high?.text ?? '', known: known.length};
}

export function drawScale(canvas) {
  const context = canvas.getContext('2d');
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${colorAt(x / (canvas.width - 1)).slice(0, 3)})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}
