// What makes no difference in a document. Nothing here knows of an enclave, so Node.js can test it.

// The document with `\n` at the ends of its lines, and nothing after its last word.
export function normal(document) {
  return document.replaceAll('\r\n', '\n').replace(/[ \t\r\n]+$/, '');
}
