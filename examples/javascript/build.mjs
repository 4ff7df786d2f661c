// Usage: node build.mjs OUTPUT
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [output] = process.argv.slice(2);
if (!output) {
  console.error('usage: node build.mjs OUTPUT');
  process.exit(2);
}

const { component } = await componentize({
  sourcePath: 'text.js',
  witPath: 'wit',
  worldName: 'text',
  // Nothing here speaks HTTP: without this, the component would import wasi:http all the same.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(output, component);
