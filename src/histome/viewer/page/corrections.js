// What people correct: the class of a cell or of a group, a region that is not to be measured; and undoing it.

import {getBytes, getJson, postJson} from './net.js';
import {byId, count, make, toast} from './panels.js';

export class Corrections {
  /** `pane` is asked for the pane that is corrected; `changed` is called with it after each correction. */
  constructor(pane, changed) {
    Object.assign(this, {pane, changed});
    this.queue = [];
    this.at = -1;
    for (const what of ['cells', 'regions'])
      byId(`queue-${what}`).addEventListener('click', () => this.next(what).catch((error) => toast(error.message)));
  }

  async open() {
    this.show(await getJson(`slides/${this.pane().key}/edits`));
  }

  show({author, edits, excluded}) {
    byId('author').value ||= author;
    const pane = this.pane();
    pane.excluded = excluded;
    const items = edits.map((edit) => {
      const what = edit.action === 'relabel' ? `${count(edit.cells)} as ${this.label(edit.to)}` : 'region excluded';
      const about = `${edit.time.slice(0, 16).replace('T', ' ')} ${edit.author}${edit.reason ? `: ${edit.reason}` : ''}`;
      const undo = make('button', {type: 'button', title: 'Undo it', onclick: () => this.send('undo', {of: edit.id})}, '↶');
      return make('li', {class: edit.holds ? '' : 'undone'}, make('span', {title: about}, what, make('small', {}, about)), ...(edit.holds ? [undo] : []));
    });
    byId('edits').replaceChildren(...items);
    const holding = edits.filter(({holds}) => holds).length;
    byId('edits-note').hidden = !holding;
    byId('edits-file').textContent = pane.info.command;
  }

  label(key) {
    return this.pane().info.classes.find((entry) => entry.key === key)?.label.toLowerCase() ?? key;
  }

  /** Send a correction; cells, maps and numbers are those with it from then on. */
  async send(action, body) {
    const pane = this.pane();
    const said = {author: byId('author').value.trim(), reason: byId('reason').value.trim()};
    if (!said.author) {
      byId('author').focus();
      return toast('Say who you are first: every correction has an author.');
    }
    try {
      const told = await postJson(`slides/${pane.key}/${action}`, {...said, ...body});
      pane.cells.setKinds(await getBytes(`slides/${pane.key}/kinds`));
      pane.edition++;
      this.show(told);
      this.changed(pane);
    } catch (error) {
      toast(error.message);
    }
  }

  relabel(rows, to) {
    return rows.length ? this.send('relabel', {rows, to}) : toast('No shown cell lies in this region.');
  }

  /** Buttons that say what a cell is. */
  chips(row, now) {
    const {classes} = this.pane().info;
    const chips = classes.map(({key, label, color}, k) =>
      make('button', {type: 'button', 'data-to': key, 'aria-pressed': String(key === now), title: `${label} (${k + 1})`, onclick: () => this.relabel([row], key)},
        make('span', {class: 'swatch', color}), label.replace(/ cell$/, '')),
    );
    return make('div', {class: 'chips'}, make('span', {class: 'quiet'}, 'It is'), ...chips);
  }

  /** What can be done with the chosen region. */
  regionActions(region) {
    const {classes} = this.pane().info;
    const rows = this.pane().cells.within(region.geometry);
    const kinds = make('select', {'aria-label': 'Class'}, ...classes.map(({key, label}) => make('option', {value: key}, label)));
    const relabel = make('button', {type: 'button', onclick: () => this.relabel(rows, kinds.value)}, `Relabel ${count(rows.length)} shown cells`);
    const exclude = make('button', {type: 'button', onclick: () => this.send('exclude', {region: region.geometry})}, 'Exclude from measuring');
    return make('div', {class: 'actions'}, make('div', {class: 'row'}, relabel, kinds), exclude);
  }

  /** Go to the next of the "cells" or "regions" that the models were least sure of. */
  async next(what) {
    const pane = this.pane();
    if (this.queueOf !== pane.key || this.what !== what || this.at + 1 >= this.queue.length) {
      this.queue = await getJson(`slides/${pane.key}/queue/${what}`);
      [this.queueOf, this.what, this.at] = [pane.key, what, -1];
    }
    if (!this.queue.length) return toast(`No uncertain ${what} are left.`);
    const found = this.queue[++this.at];
    const place = `${this.at + 1} of ${this.queue.length}`;
    if (what === 'cells') {
      pane.goTo(pane.cells.xy[2 * found], pane.cells.xy[2 * found + 1], Math.log2(pane.info.mpp[0] / 0.25));
      pane.select(found);
    } else pane.askAbout(found.box, `Least certain ${this.at + 1}`);
    byId('queue-at').textContent = what === 'cells' ? `cell ${place}` : `region ${place}: ${sure(found)}`;
  }
}

function sure({cells, cell_confidence: ofCells, tissue_confidence: ofTissue}) {
  const tissue = ofTissue === null ? '' : `, tissue ${ofTissue.toFixed(2)}`;
  return `${count(cells)} cells, mean confidence ${ofCells.toFixed(2)}${tissue}`;
}
