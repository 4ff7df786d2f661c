// Usage: node build.mjs OUTPUT
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

const [output] = process.argv.slice(2);
if (!output) {
  console.error('usage: node build.mjs OUTPUT');
  process.exit(2);
}

const { component } = await componentize({
  sourcePath: 'service.js',
  witPath: 'wit',
  worldName: 'service',
  // Nothing here speaks HTTP: without this, the component would import wasi:http all the same.
  disableFeatures: ['http', 'fetch-event'],
});
await mkdir(dirname(output), { recursive: true });
await writeFile(output, component);
