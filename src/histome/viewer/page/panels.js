// The panels beside the slide: plain DOM, every text set as text.

export const byId = (id) => document.getElementById(id);

/** Make an element: make('td', {class: 'number'}, 'text', child). */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'color') made.style.background = value;
    else if (value === true || value === false) made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const count = (n) => Number(n).toLocaleString('en').replaceAll(',', '\u202f');

let hide;
export function toast(text) {
  byId('toast').textContent = text;
  byId('toast').hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => (byId('toast').hidden = true), 6000);
}

/** A list of classes with a box each to tick; `change(index, on)`. */
export function toggles(list, entries, isOn, change) {
  list.replaceChildren(
    ...entries.map((entry, k) => {
      const box = make('input', {
        type: 'checkbox',
        'data-key': entry.key,
        onchange: ({target}) => change(k, target.checked),
      });
      box.checked = isOn(k);
      const text = make('span', {}, entry.label);
      const counted = entry.count === undefined ? [] : [make('span', {class: 'count'}, count(entry.count))];
      return make('li', {}, make('label', {}, box, make('span', {class: 'swatch', color: entry.color}), text, ...counted));
    }),
  );
}

const UNSHOWN = new Set(['x', 'y', 'x_um', 'y_um', 'class', 'confidence', 'abstained', 'counted']);

/** A cell: its class, where it is, its probabilities, its shape and stain. */
export function cellCard({values, probabilities}, classes) {
  const of = Object.fromEntries(values.map(({name, value}) => [name, value]));
  const kind = classes.find(({key}) => key === of.class);
  const known = classes.filter(({key}) => probabilities[key] !== null && probabilities[key] !== undefined);
  const sorted = known.sort((a, b) => probabilities[b.key] - probabilities[a.key]).filter(({key}) => probabilities[key] >= 0.005);
  const bars = sorted.flatMap(({key, label, color}) => {
    const bar = make('i', {color});
    bar.style.width = `${100 * probabilities[key]}%`;
    return [make('span', {}, label), bar, make('span', {class: 'p'}, probabilities[key].toFixed(2))];
  });
  const notes = [of.abstained && 'The model abstains: no class is likely enough.', of.counted === false && 'Not counted: it lies in necrosis, blood or what is not analyzed.'];
  const rows = values
    .filter(({name, value}) => !UNSHOWN.has(name) && value !== null)
    .flatMap(({name, value, unit}) => [
      make('dt', {}, name.replace(/_(um2|um|od)(?=_|$)/g, '').replaceAll('_', ' ')),
      make('dd', {}, typeof value === 'number' ? `${+value.toPrecision(4)}${unit && unit !== '1' ? ` ${unit.replace('um', 'µm').replace('m2', 'm²')}` : ''}` : String(value).toLowerCase().replaceAll('_', ' ')),
    ]);
  return [
    make('h3', {}, make('span', {class: 'swatch', color: kind?.color ?? '#888'}), kind?.label ?? of.class),
    ...notes.filter(Boolean).map((note) => make('p', {class: 'quiet'}, note)),
    make('div', {class: 'bars'}, ...bars),
    make('details', {open: true}, make('summary', {class: 'quiet'}, 'Place, shape, stain'), make('dl', {}, ...rows)),
  ];
}

/** Rows of the table of metrics; a click on one calls `choose(name)`. */
/** A name that breaks after its underscores, where it is too long for a line. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, document.createElement('wbr')]);

export function metricRows(rows, choose) {
  return rows.map((row) => {
    const name = make('div', {class: 'name'}, ...breakable(row.name), row.mark ? ' †' : '');
    const told = make('td', {title: row.formula}, make('div', {class: 'formula'}, row.label), name);
    const below = row.reason || [row.interval && `95 %: ${row.interval}`, row.n && `n = ${row.n}`].filter(Boolean).join('; ');
    const number = make('td', {class: 'number'}, `${row.text} ${row.unit}`.trim(), make('small', {}, below));
    return make('tr', {'data-name': row.name, 'data-value': row.value ?? '', onclick: () => choose(row.name)}, told, number);
  });
}

export function warningItems(warnings) {
  const grave = warnings.filter(({severity}) => severity !== 'note');
  return grave.map(({severity, title, text}) =>
    make('li', {class: severity}, make('details', {}, make('summary', {}, title), text)),
  );
}
