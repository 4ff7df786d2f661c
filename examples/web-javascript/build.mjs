// Usage: node build.mjs OUTPUT
import { writeFile } from 'node:fs/promises';
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
});
await writeFile(output, component);
