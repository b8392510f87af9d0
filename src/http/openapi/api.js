// Shows /openapi.json: each endpoint with its parameters, its body, its answers, and a line for curl. All text goes in as text.
"use strict";

const at = (id) => document.getElementById(id);
let api = null;

function make(name, ...inside) {
  const node = document.createElement(name);
  node.append(...inside);
  return node;
}

// What stands between backquotes is code.
function prose(name, text) {
  const parts = (text || "").split("`");
  return make(name, ...parts.map((part, number) => (number % 2 ? make("code", part) : part)));
}

function table(heads, rows) {
  const lines = rows.map((cells) => make("tr", ...cells.map((cell) => (cell instanceof Node ? make("td", cell) : prose("td", cell)))));
  return make("table", make("thead", make("tr", ...heads.map((head) => make("th", head)))), make("tbody", ...lines));
}

function follow(value) {
  if (!value || !value.$ref) return value || {};
  return value.$ref.slice(2).split("/").reduce((found, part) => found[part], api);
}

// The first of several forms that says something; a field that may be null is one of them.
function plain(schema) {
  const found = follow(schema);
  const choice = found.oneOf || found.anyOf || found.allOf;
  return choice ? plain(choice.find((one) => one.type !== "null")) : found;
}

function typeOf(schema) {
  const found = plain(schema);
  if (found.enum) return found.enum.map((value) => "`" + value + "`").join(", ");
  const types = [].concat(found.type || []).filter((type) => type !== "null");
  if (types[0] === "array") return "list of " + typeOf(found.items);
  return [types.join(" or "), found.format && "(" + found.format + ")"].filter(Boolean).join(" ") || "anything";
}

// Each field that a schema has, with the fields of its fields below it.
function fields(schema, before = "") {
  const found = follow(schema);
  if (found.oneOf) {
    const all = found.oneOf.filter((one) => one.type !== "null").map((one) => fields(one, before));
    return all.flatMap((rows, number) => (number ? [[before || "or", "", "Or:"], ...rows] : rows));
  }
  const named = Object.entries(found.properties || {});
  return named.flatMap(([name, field]) => {
    const needed = (found.required || []).includes(name) ? "" : " (may be missing)";
    const inner = plain(field);
    const below = inner.items ? fields(inner.items, before + name + "[].") : fields(inner, before + name + ".");
    const nullable = [].concat(field.type || []).includes("null") && !needed ? " or null" : "";
    const row = [make("code", before + name), typeOf(field) + nullable + needed, field.description || inner.description || ""];
    return [row, ...below];
  });
}

function example(schema) {
  const found = plain(schema);
  if (found.example !== undefined) return found.example;
  if (found.default !== undefined && found.default !== null) return found.default;
  if (found.enum) return found.enum[0];
  const type = [].concat(found.type || []).find((one) => one !== "null");
  if (type === "array") return [example(found.items)];
  if (type === "integer" || type === "number") return 1;
  if (type === "boolean") return true;
  if (type !== "object") return "…";
  const needed = Object.entries(found.properties || {}).filter(([name]) => (found.required || []).includes(name));
  return Object.fromEntries(needed.map(([name, field]) => [name, example(field)]));
}

const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function curl(method, path, operation) {
  const line = ["curl"];
  if (method !== "get") line.push("-X " + method.toUpperCase());
  if (operation.security) line.push('-H "Authorization: Bearer $TOKEN"');
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) line.push("-d " + quoted(JSON.stringify(body.example || example(body.schema))));
  if (operation.responses[200] && operation.responses[200].content && operation.responses[200].content["text/event-stream"]) line.push("-N");
  line.push(quoted(location.origin + path));
  return line.join(" ");
}

function answers(operation) {
  const rows = [];
  for (const [code, answer] of Object.entries(operation.responses)) {
    const { description, headers, content } = follow(answer);
    const names = Object.keys(headers || {}).map((name) => "`" + name + "`");
    rows.push([code, description + (names.length ? " With " + names.join(", ") + "." : ""), Object.keys(content || {}).join(", ")]);
  }
  const parts = [make("h3", "Answers"), table(["", "", "body"], rows)];
  for (const [code, answer] of Object.entries(operation.responses)) {
    const body = Number(code) < 300 && (follow(answer).content || {})["application/json"];
    const rows = body ? fields(body.schema) : [];
    if (rows.length) parts.push(make("h3", "Body of " + code), table(["field", "type", ""], rows));
  }
  return parts;
}

function endpoint(method, path, operation) {
  const inside = (operation.description || "").split("\n\n").filter(Boolean).map((text) => prose("p", text));
  inside.push(make("pre", curl(method, path, operation)));
  const parameters = operation.parameters || [];
  if (parameters.length) {
    const rows = parameters.map((one) => {
      const type = typeOf(one.schema) + (one.required ? "" : " (may be missing)");
      return [make("code", one.name), one.in, type, one.description];
    });
    inside.push(make("h3", "Parameters"), table(["name", "in", "type", ""], rows));
  }
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) {
    const title = operation.requestBody.required ? "Body" : "Body (may be missing)";
    inside.push(make("h3", title), table(["field", "type", ""], fields(body.schema)));
  }
  inside.push(...answers(operation));
  const head = make("summary", make("code", method.toUpperCase() + " " + path), prose("span", operation.summary));
  const whole = make("details", head, make("div", ...inside));
  whole.id = operation.operationId;
  whole.open = location.hash === "#" + whole.id;
  return whole;
}

function show() {
  at("about").replaceChildren(...api.info.description.split("\n\n").map((text) => prose("p", text)));
  const chapters = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const chapter = operation.tags[0];
      if (!chapters.has(chapter)) chapters.set(chapter, make("section", make("h2", chapter)));
      chapters.get(chapter).append(endpoint(method, path, operation));
    }
  }
  at("endpoints").replaceChildren(...chapters.values());
}

function find() {
  const wanted = at("find").value.toLowerCase();
  for (const one of document.querySelectorAll("details")) one.hidden = !one.textContent.toLowerCase().includes(wanted);
  for (const chapter of at("endpoints").children) chapter.hidden = !chapter.querySelector("details:not([hidden])");
}

async function start() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error("/openapi.json: " + answer.status);
  api = await answer.json();
  at("message").textContent = "";
  show();
}

at("find").addEventListener("input", find);
start().catch((error) => {
  at("message").textContent = error.message;
});
