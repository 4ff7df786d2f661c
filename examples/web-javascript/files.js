// Files for JavaScript. The language has none of its own; a component gets them from `wasi:filesystem`, which wit/world.wit imports.
// What WASI refuses is thrown as a string: `documents/x.json: no-entry`.

import { getDirectories } from 'wasi:filesystem/preopens@0.2.10';

export function readFile(path) {
  return at(path, () => {
    const file = root().openAt({}, path, {}, { read: true });
    const { size } = file.stat();
    const bytes = new Uint8Array(Number(size));
    for (let offset = 0, ended = false; !ended && offset < bytes.length; ) {
      const [part, end] = file.read(size - BigInt(offset), BigInt(offset));
      bytes.set(part, offset);
      offset += part.length;
      ended = end;
    }
    return new TextDecoder().decode(bytes);
  });
}

// Makes or replaces a file.
export function writeFile(path, text) {
  at(path, () => {
    const file = root().openAt({}, path, { create: true, truncate: true }, { write: true });
    const bytes = new TextEncoder().encode(text);
    for (let offset = 0; offset < bytes.length; ) {
      offset += Number(file.write(bytes.subarray(offset), BigInt(offset)));
    }
  });
}

export function makeDirectory(path) {
  try {
    root().createDirectoryAt(path);
  } catch (error) {
    if (error.payload !== 'exist') {
      throw `${path}: ${error.payload ?? error}`;
    }
  }
}

// The names in a directory, sorted.
export function namesIn(path) {
  return at(path, () => {
    const entries = root().openAt({}, path, { directory: true }, { read: true }).readDirectory();
    const names = [];
    for (let entry = entries.readDirectoryEntry(); entry; entry = entries.readDirectoryEntry()) {
      names.push(entry.name);
    }
    return names.sort();
  });
}

// The directory that the app calls `/`. Asked for when it is needed: while the component is made, there is none.
function root() {
  const found = getDirectories().find(([, path]) => path === '/');
  if (!found) {
    throw 'there is no directory /';
  }
  return found[0];
}

// Says where something went wrong.
function at(path, action) {
  try {
    return action();
  } catch (error) {
    throw `${path}: ${error.payload ?? error}`;
  }
}
