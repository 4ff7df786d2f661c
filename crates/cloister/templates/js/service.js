// Stamps documents: what was shown to this app, and when.
//
// Each export of wit/service.wit is an export of this module, in camel case, and each interface that it imports is a module. The
// clock is JavaScript's own: `Date` asks WASI.

import { digest } from 'privasys:enclave-os/crypto@0.1.0';
import { normal } from './text.js';

export function stampDocument(document) {
  return { digest: digestOf(document), seen: BigInt(Math.floor(Date.now() / 1000)) };
}

export function check(document, stamp) {
  return digestOf(document) === stamp.digest.toLowerCase();
}

// SHA-256 in hex digits, computed by the enclave. What is thrown becomes the error of the `result`.
function digestOf(document) {
  const text = normal(document);
  if (text === '') {
    throw 'there is nothing in the document';
  }
  const bytes = digest('sha256', new TextEncoder().encode(text));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
