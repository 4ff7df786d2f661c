"use strict";

// Forms that are made from WIT types, and JSON as text.

// Every text is set as text: whatever an enclave or an app says cannot become markup.
const at = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

let named = 0;
const freshId = () => `i${named += 1}`;

// Forms: each control knows its part of the JSON text, so that no number passes through a JavaScript number.

function typeText(shape) {
  if (!shape) return "_";
  if (shape.name) return shape.name;
  const all = (list) => list.map(typeText).join(", ");
  switch (shape.kind) {
    case "list": return shape.length === undefined ? `list<${typeText(shape.of)}>` : `list<${typeText(shape.of)}, ${shape.length}>`;
    case "option": return `option<${typeText(shape.of)}>`;
    case "map": return `map<${all([shape.key, shape.value])}>`;
    case "tuple": return `tuple<${all(shape.of)}>`;
    case "result":
      if (!shape.ok && !shape.err) return "result";
      return shape.err ? `result<${all([shape.ok, shape.err])}>` : `result<${typeText(shape.ok)}>`;
    default: return shape.kind;
  }
}

function signature(one) {
  const parameters = one.parameters.map((parameter) => `${parameter.name}: ${typeText(parameter.shape)}`).join(", ");
  return `${one.name}(${parameters})${one.result ? ` -> ${typeText(one.result)}` : ""}`;
}

const note = (text) => (text ? [element("span", { className: "note" }, text)] : []);
const object = (parts) =>
  `{${parts.map(({ name, made }) => `${JSON.stringify(name)}: ${within(name, made)}`).join(", ")}}`;

// The text of a part, with its place in what is said about it.
function within(name, made) {
  try {
    return made.json();
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}

// A control with its name, its type and what is said about it.
function field(name, shape, { documentation } = {}) {
  const made = inner(shape);
  const title = [element("span", { className: "name" }, name), " ", element("span", { className: "type" }, typeText(shape))];
  if (made.compound) {
    return { json: made.json, node: element("fieldset", {}, element("legend", {}, ...title), ...note(documentation), made.node) };
  }
  const labelled = made.labelled ?? made.node;
  labelled.id = freshId();
  const label = element("label", { htmlFor: labelled.id }, ...title);
  return { json: made.json, node: element("div", { className: "field" }, label, ...note(documentation), made.node) };
}

function inner(shape) {
  switch (shape.kind) {
    case "bool": {
      const node = element("input", { type: "checkbox" });
      return { node, json: () => String(node.checked) };
    }
    case "string": {
      const node = element("textarea", { rows: 1 });
      return { node, json: () => JSON.stringify(node.value) };
    }
    case "char": return line((text) => {
      if ([...text].length !== 1) throw new Error("write exactly one character");
      return JSON.stringify(text);
    });
    case "f32": case "f64": return line(float);
    case "list": return shape.of.kind === "u8" ? bytes(shape) : list(shape);
    case "map": return map(shape);
    case "option": return option(shape);
    case "result": return result(shape);
    case "tuple": return tuple(shape);
    case "record": return record(shape);
    case "variant": return variant(shape);
    case "enum": {
      const node = element("select", {}, ...shape.cases.map((name) => element("option", { value: name }, name)));
      return { node, json: () => JSON.stringify(node.value) };
    }
    case "flags": return flags(shape);
    default: return line((text) => integer(text, shape.kind));
  }
}

function line(read) {
  const node = element("input", { type: "text", autocomplete: "off", spellcheck: false });
  return { node, json: () => read(node.value) };
}

function integer(text, kind) {
  if (!/^\s*-?\d{1,20}\s*$/.test(text)) throw new Error("write a whole number");
  const value = BigInt(text.trim());
  const bits = BigInt(kind.slice(1));
  const [least, most] = kind[0] === "u" ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
  if (value < least || value > most) throw new Error(`write a number from ${least} to ${most}`);
  return value.toString();
}

function float(text) {
  const trimmed = text.trim();
  if (["nan", "inf", "-inf"].includes(trimmed)) return JSON.stringify(trimmed);
  const value = Number(trimmed);
  if (trimmed === "" || !Number.isFinite(value)) throw new Error("write a number, nan, inf or -inf");
  return Object.is(value, -0) ? "-0.0" : String(value);
}

function bytes(shape) {
  const text = element("textarea", { rows: 1 });
  const how = element("select", { ariaLabel: "bytes are given as" },
    ...[["text", "text (UTF-8)"], ["hex", "hex digits"], ["base64", "base64"]]
      .map(([value, name]) => element("option", { value }, name)));
  const encode = (list) => btoa(Array.from(list, (byte) => String.fromCharCode(byte)).join(""));
  const json = () => {
    let base64 = text.value.replace(/\s/g, "");
    let length;
    if (how.value === "text") {
      const list = new TextEncoder().encode(text.value);
      [base64, length] = [encode(list), list.length];
    } else if (how.value === "hex") {
      if (!/^([0-9a-fA-F]{2})*$/.test(base64)) throw new Error("write two hex digits for each byte");
      const list = (base64.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
      [base64, length] = [encode(list), list.length];
    } else {
      try { length = atob(base64).length; } catch { throw new Error("that is not base64"); }
    }
    if (shape.length !== undefined && length !== shape.length) throw new Error(`write ${shape.length} bytes`);
    return JSON.stringify(base64);
  };
  return { node: element("div", {}, text, how), labelled: text, json };
}

// Controls of one kind, as many as are wanted.
function repeated(make, fixed) {
  const items = [];
  const box = element("div");
  const add = () => {
    const made = make(items.length);
    const item = { json: made.json, node: element("div", { className: "item" }, made.node) };
    if (fixed === undefined) {
      const remove = element("button", { type: "button", ariaLabel: "Remove this one" }, "−");
      remove.onclick = () => {
        items.splice(items.indexOf(item), 1);
        item.node.remove();
        preview();
        more.focus();
      };
      item.node.append(remove);
    }
    items.push(item);
    box.append(item.node);
  };
  const more = element("button", { type: "button" }, "Add");
  more.onclick = () => {
    add();
    preview();
    box.lastChild.querySelector("input, select, textarea")?.focus();
  };
  if (fixed === undefined) return { node: element("div", {}, box, more), items };
  for (let made = 0; made < Math.min(fixed, MOST_FIXED); made += 1) add();
  return { node: box, items };
}

function list(shape) {
  const { node, items } = repeated(() => field("value", shape.of), shape.length);
  const json = () => {
    if (shape.length > MOST_FIXED) throw new Error(`lists of ${shape.length} values have no form`);
    return `[${items.map((item, i) => within(`[${i}]`, item)).join(", ")}]`;
  };
  return { compound: true, node, json };
}

function map(shape) {
  const { node, items } = repeated(() => {
    const [key, value] = [field("key", shape.key), field("value", shape.value)];
    return { node: element("div", {}, key.node, value.node), json: () => [key.json(), value.json()] };
  });
  const json = () => {
    const pairs = items.map((item, i) => within(`[${i}]`, item));
    return shape.key.kind === "string"
      ? `{${pairs.map(([key, value]) => `${key}: ${value}`).join(", ")}}`
      : `[${pairs.map(([key, value]) => `[${key}, ${value}]`).join(", ")}]`;
  };
  return { compound: true, node, json };
}

function option(shape) {
  const id = freshId();
  const some = element("input", { type: "checkbox", id });
  const value = field("value", shape.of);
  value.node.hidden = true;
  some.onchange = () => { value.node.hidden = !some.checked; };
  const json = () => {
    if (!some.checked) return "null";
    return shape.of.kind === "option" ? `{"some": ${value.json()}}` : value.json();
  };
  const node = element("div", {}, some, " ", element("label", { htmlFor: id, className: "inline" }, "given"), value.node);
  return { compound: true, node, json };
}

// One of several cases, each with a value or without.
function oneOf(cases) {
  const select = element("select", { ariaLabel: "which" }, ...cases.map((one) => element("option", { value: one.name }, one.name)));
  const made = cases.map((one) => (one.shape ? field(one.name, one.shape, one) : null));
  const box = element("div");
  const choose = () => box.replaceChildren(...[made[select.selectedIndex]?.node ?? ""]);
  select.onchange = choose;
  choose();
  const chosen = () => ({ name: select.value, made: made[select.selectedIndex] });
  return { node: element("div", {}, select, box), chosen };
}

function result(shape) {
  const { node, chosen } = oneOf([{ name: "ok", shape: shape.ok }, { name: "err", shape: shape.err }]);
  const json = () => {
    const { name, made } = chosen();
    return `{"${name}": ${made ? made.json() : "null"}}`;
  };
  return { compound: true, node, json };
}

function variant(shape) {
  const { node, chosen } = oneOf(shape.cases);
  const json = () => {
    const { name, made } = chosen();
    return made ? object([{ name, made }]) : JSON.stringify(name);
  };
  return { compound: true, node, json };
}

function tuple(shape) {
  const parts = shape.of.map((of, i) => field(String(i), of));
  const json = () => `[${parts.map((part, i) => within(`[${i}]`, part)).join(", ")}]`;
  return { compound: true, node: element("div", {}, ...parts.map((part) => part.node)), json };
}

function record(shape) {
  const parts = shape.fields.map((one) => ({ name: one.name, made: field(one.name, one.shape, one) }));
  return { compound: true, node: element("div", {}, ...parts.map((part) => part.made.node)), json: () => object(parts) };
}

function flags(shape) {
  const boxes = shape.names.map((name) => {
    const box = element("input", { type: "checkbox", value: name });
    return { box, node: element("label", {}, box, ` ${name}`) };
  });
  const json = () => JSON.stringify(boxes.filter(({ box }) => box.checked).map(({ box }) => box.value));
  return { compound: true, node: element("div", {}, ...boxes.map(({ node }) => node)), json };
}

// JSON as text: JavaScript's own reader rounds integers above 2^53.

const STRING = /"(?:[^"\\]|\\.)*"/y;

function skipString(text, from) {
  STRING.lastIndex = from;
  if (!STRING.test(text)) throw new Error("the answer is not JSON");
  return STRING.lastIndex;
}

// The members of an object, each as the text that it is.
function members(text) {
  const found = new Map();
  let i = text.indexOf("{") + 1;
  const space = () => { while (/\s/.test(text[i] ?? "")) i += 1; };
  for (space(); text[i] === '"'; space()) {
    const name = i;
    i = skipString(text, i);
    const key = JSON.parse(text.slice(name, i));
    space();
    i += 1;
    space();
    const value = i;
    for (let depth = 0; i < text.length; i += 1) {
      if (text[i] === '"') i = skipString(text, i) - 1;
      else if ("[{".includes(text[i])) depth += 1;
      else if (depth > 0 && "]}".includes(text[i])) depth -= 1;
      else if (depth === 0 && ",}".includes(text[i])) break;
    }
    found.set(key, text.slice(value, i).trim());
    if (text[i] !== ",") break;
    i += 1;
  }
  return found;
}

// The same JSON text with line breaks and indents.
function pretty(text) {
  if (text.length > MOST_PRETTY) return text;
  let out = "";
  let depth = 0;
  const next = () => { out += `\n${"  ".repeat(depth)}`; };
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (c === '"') {
      const end = skipString(text, i);
      out += text.slice(i, end);
      i = end - 1;
    } else if ("[{".includes(c)) {
      const close = /\s*[\]}]/y;
      close.lastIndex = i + 1;
      out += c;
      if (close.test(text)) {
        out += text[close.lastIndex - 1];
        i = close.lastIndex - 1;
      } else {
        depth += 1;
        next();
      }
    } else if ("]}".includes(c)) {
      depth -= 1;
      next();
      out += c;
    } else if (c === ",") {
      out += c;
      next();
    } else if (c === ":") {
      out += ": ";
    } else if (!/\s/.test(c)) {
      out += c;
    }
  }
  return out;
}

// Longest list of fixed length that has a form, and longest text that is indented.
const MOST_FIXED = 256;
const MOST_PRETTY = 1 << 20;
