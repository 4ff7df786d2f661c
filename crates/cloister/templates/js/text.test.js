import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normal } from './text.js';

test('ends of lines make no difference', () => {
  assert.equal(normal('one\r\ntwo\r\n'), 'one\ntwo');
  assert.equal(normal('one\ntwo'), 'one\ntwo');
});

test('what is between words stays', () => {
  assert.equal(normal('  one\n\n\ttwo \t\n\n'), '  one\n\n\ttwo');
  assert.equal(normal(' \r\n\t'), '');
});
