// Text statistics and canonical JSON: a guest in JavaScript. Each export of wit/world.wit is an export of this module.

import { makeDirectory, namesIn, readFile, writeFile } from './files.js';

export function analyze(text, limit) {
  const words = text.match(WORD) ?? [];
  const counts = new Map();
  for (const word of words) {
    const key = word.toLowerCase();
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return {
    characters: [...text].length,
    words: words.length,
    lines: text === '' ? 0 : text.replace(/\n$/, '').split('\n').length,
    longestWord: words.reduce((longest, word) => (longest && longest.length >= word.length ? longest : word), undefined),
    frequent: [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, limit),
  };
}

// An error that is thrown becomes the error of the `result`.
export function canonicalize(json) {
  let value;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw `not JSON: ${error.message}`;
  }
  return canonical(value);
}

export function keep(json) {
  const text = canonicalize(json);
  const receipt = { id: crypto.randomUUID(), at: new Date().toISOString() };
  makeDirectory(FOLDER);
  writeFile(pathOf(receipt.id), text);
  return receipt;
}

export function kept(id) {
  return readFile(pathOf(id));
}

export function ids() {
  makeDirectory(FOLDER);
  return namesIn(FOLDER).map((name) => name.replace(/\.json$/, ''));
}

function pathOf(id) {
  if (!UUID.test(id)) {
    throw 'an id is a UUID';
  }
  return `${FOLDER}/${id}.json`;
}

// RFC 8785: names sorted by their UTF-16 code units (section 3.2.3), numbers and strings as ECMAScript writes them
// (sections 3.2.2.2 and 3.2.2.3), no lone surrogates.
function canonical(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`);
    return `{${members.join(',')}}`;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw 'a number is too large';
  }
  if (typeof value === 'string' && LONE_SURROGATE.test(value)) {
    throw 'a string holds half a surrogate pair';
  }
  return JSON.stringify(value);
}

// What lies between white space and punctuation. The engine inside the component comes without Unicode's property tables, so
// classes such as \p{L} are not to be had.
const WORD = /[^\s.,;:!?¡¿…"“”„«»()\[\]{}<>|\\/*+=_~`@#$%^&–—]+/gu;

const LONE_SURROGATE = /[\ud800-\udfff]/u;

const FOLDER = 'documents';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
