// Makes the one JavaScript file of others that the viewer's page loads, and the file of its licenses, from the npm
// registry: `npm ci --ignore-scripts && node bundle.mjs`. Users need neither; both files are committed.
import {build} from 'esbuild';
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';

const PAGE = new URL('../../src/histome/viewer/page/', import.meta.url);
const {metafile} = await build({
  entryPoints: ['deck.js'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  metafile: true,
  outfile: new URL('deck.js', PAGE).pathname,
});

const [output] = Object.values(metafile.outputs);
const packages = new Set();
for (const [path, {bytesInOutput}] of Object.entries(output.inputs)) {
  const found = path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/);
  if (found && bytesInOutput) packages.add(found[0]);
}
const texts = new Map(); // license text -> the packages that it is of
for (const folder of [...packages].sort()) {
  const {name, version, license} = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (!file) throw new Error(`${name} has no license file`);
  const text = readFileSync(`${folder}/${file}`, 'utf8').trim();
  texts.set(text, [...(texts.get(text) ?? []), `${name} ${version} (${license})`]);
}
const parts = [...texts].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`);
writeFileSync(
  new URL('deck.LICENSE.txt', PAGE),
  `deck.js is made of these packages by runs/viewer/bundle.mjs.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`,
);
console.log(`${(output.bytes / 1024).toFixed(0)} KiB of ${packages.size} packages`);
