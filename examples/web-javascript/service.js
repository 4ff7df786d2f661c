// A guest book on the web: a guest in JavaScript. Each request gets an instance of its own; entries lie in files.

import { makeDirectory, namesIn, readFile, writeFile } from './files.js';
import { page } from './page.js';

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname } = new URL(request.url);
  try {
    switch (`${request.method} ${pathname}`) {
      case 'GET /':
        return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } });
      case 'GET /entries':
        return json(200, entries());
      case 'POST /entries':
        return json(201, add(await request.text()));
      default:
        return json(404, { problem: `there is no ${request.method} ${pathname}` });
    }
  } catch (problem) {
    return json(problem instanceof Refusal ? 400 : 500, { problem: String(problem.message ?? problem) });
  }
}

function entries() {
  makeDirectory(FOLDER);
  return namesIn(FOLDER).slice(-MOST_SHOWN).reverse().map((name) => JSON.parse(readFile(`${FOLDER}/${name}`)));
}

function add(text) {
  const { name, message } = parsed(text);
  const entry = { id: crypto.randomUUID(), at: new Date().toISOString(), name, message };
  makeDirectory(FOLDER);
  // Names that sort by time.
  writeFile(`${FOLDER}/${entry.at.replaceAll(':', '-')} ${entry.id}`, JSON.stringify(entry));
  return entry;
}

function parsed(text) {
  let entry;
  try {
    entry = JSON.parse(text);
  } catch {
    throw new Refusal('the body is not JSON');
  }
  for (const [field, longest] of [['name', 100], ['message', 2000]]) {
    const value = entry?.[field];
    if (typeof value !== 'string' || value === '' || value.length > longest) {
      throw new Refusal(`${field} must be a text of 1 to ${longest} characters`);
    }
  }
  return entry;
}

function json(status, value) {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json' } });
}

// A mistake of the client's.
class Refusal extends Error {}

const FOLDER = 'entries';

const MOST_SHOWN = 100;
