// What pages of the console need a script for: signing in, changing something through the JSON API, looking again, following
// events, keys. All text goes in as text.
"use strict";

const main = document.getElementById("main");
const meta = document.querySelector('meta[name="csrf"]');

/** What was asked for in vain, in words. */
function say(text) {
  document.getElementById("message").textContent = text;
}

/** Asks the JSON API. An answer that is none of success is an error with the words of the gateway. */
async function ask(method, path, body) {
  // So marked, a 401 asks no questions of the browser's own.
  const headers = { "X-Requested-With": "papcast-console" };
  if (body) headers["Content-Type"] = "application/json";
  if (meta && meta.content) headers["X-CSRF-Token"] = meta.content;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  let said = null;
  try {
    said = text ? JSON.parse(text) : null;
  } catch {
    // Not from the gateway, but from something before it.
  }
  if (answer.status === 401 && path !== "/console/session") {
    location.href = "/console/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
  }
  if (!answer.ok) throw new Error((said && said.detail) || "The gateway answered " + answer.status);
  return said;
}

/** Asks before something is done that cannot be undone. */
function confirmed(question, typed) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const form = document.createElement("form");
    form.method = "dialog";
    const text = document.createElement("p");
    text.id = "question";
    text.textContent = question;
    dialog.setAttribute("aria-labelledby", "question");
    const input = document.createElement("input");
    input.setAttribute("aria-label", "Type the name to go on");
    input.autocomplete = "off";
    const yes = document.createElement("button");
    yes.value = "yes";
    yes.className = "danger";
    yes.textContent = "Yes, do it";
    const no = document.createElement("button");
    no.value = "no";
    no.textContent = "No";
    no.formNoValidate = true;
    form.append(text);
    if (typed) {
      yes.disabled = true;
      input.addEventListener("input", () => (yes.disabled = input.value !== typed));
      form.append(input);
    }
    form.append(no, yes);
    dialog.append(form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    (typed ? input : no).focus();
  });
}

/** The fields of a form as the JSON API takes them; those of its path apart. */
function fields(form) {
  const body = {};
  const path = {};
  for (const field of form.querySelectorAll("[name]")) {
    const value = field.value.trim();
    if (field.dataset.kind === "path") path[field.name] = value;
    else if (value === "") continue;
    else if (field.dataset.kind === "list") body[field.name] = value.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);
    else if (field.dataset.kind === "time") body[field.name] = new Date(value).toISOString();
    else body[field.name] = field.tagName === "TEXTAREA" ? field.value : value;
  }
  const fill = (text) => text.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(path[name] || ""));
  return { body, fill };
}

/** Goes where something that was done can be looked at. */
async function go(then, answer) {
  if (then === "push") {
    const whose = "?initiator=" + encodeURIComponent(document.body.dataset.initiator);
    location.href = "/console/pushes/" + encodeURIComponent(answer.push_id) + whose;
  } else if (then) location.href = then;
  else await look();
}

/** Runs what somebody has asked for; what goes wrong is said on the page. */
async function attempt(control, work) {
  say("");
  if (control) control.disabled = true;
  try {
    await work();
  } catch (error) {
    say(error.message);
    document.getElementById("message").scrollIntoView({ block: "nearest" });
  } finally {
    if (control) control.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  const { method, path, body, confirm, typed, then } = button.dataset;
  attempt(button, async () => {
    if (confirm && !(await confirmed(confirm, typed))) return;
    await go(then, await ask(method, path, body && JSON.parse(body)));
  });
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  attempt(event.submitter, async () => {
    const { body, fill } = fields(form);
    const answer = await ask(form.dataset.method, fill(form.dataset.path), body);
    const failed = (answer && answer.failed) || [];
    if (failed.length === 0) return go(form.dataset.then && fill(form.dataset.then), answer);
    await look();
    say(failed.length + " failed: " + failed.slice(0, 5).map((one) => one.user + ": " + one.detail).join("; "));
  });
});

// Looking again.

const FOLLOW = 2000;
/** So many times longer than it took to look is waited until the next look. */
const REST = 10;

async function page(path) {
  const answer = await fetch(path, { headers: { "X-Requested-With": "papcast-console" } });
  if (answer.redirected) location.reload();
  if (!answer.ok) throw new Error("The gateway answered " + answer.status);
  return answer.text();
}

/** Parts that are asked for after the page. */
async function load(place) {
  const part = new DOMParser().parseFromString(await page(place.dataset.load), "text/html").body;
  label(part);
  if (part.innerHTML !== place.innerHTML) place.replaceChildren(...part.childNodes);
}

const loadAll = (of) => Promise.all([...of.querySelectorAll("[data-load]")].map(load));

/** Whether somebody is about to use what is in here. */
const isInUse = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

/** Whether this link or button is the one that was there before. */
const isSame = (one, other) =>
  one.textContent === other.textContent && one.getAttribute("href") === other.getAttribute("href") && one.dataset.path === other.dataset.path;

/** Cells of a table say what they are, where it is shown without its head: on a phone. */
function label(within) {
  for (const table of within.querySelectorAll("table")) {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, place) => (cell.dataset.label = heads[place] || ""));
    }
  }
}

/** Puts the parts of the page that change in the place of the old ones. */
async function look() {
  const fresh = new DOMParser().parseFromString(await page(location.href), "text/html");
  label(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now || isInUse(part)) continue;
    // What was loaded after the page is loaded again, and stands there until it is.
    const loaded = [...part.querySelectorAll("[data-load]")];
    for (const place of now.querySelectorAll("[data-load]")) {
      const old = loaded.find((one) => one.dataset.load === place.dataset.load);
      if (old) place.replaceChildren(...old.childNodes);
    }
    if (now.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    part.replaceChildren(...now.childNodes);
    if (focused) [...part.querySelectorAll("a, button")].find((one) => isSame(one, focused))?.focus();
  }
  const follow = fresh.getElementById("main")?.hasAttribute("data-follow");
  main.toggleAttribute("data-follow", Boolean(follow));
  await loadAll(main);
}

async function follow() {
  let took = 0;
  for (;;) {
    await new Promise((done) => setTimeout(done, Math.max(FOLLOW, REST * took)));
    if (document.hidden || !main.hasAttribute("data-follow") || document.querySelector("dialog")) continue;
    const begun = performance.now();
    try {
      await look();
    } catch {
      // The gateway is away for a while; the next look may find it.
    }
    took = performance.now() - begun;
  }
}

// Signing in and out.

const signIn = document.getElementById("sign-in");
if (signIn) {
  signIn.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(event.submitter, async () => {
      const token = document.getElementById("token");
      const body = { token: token.value };
      token.value = "";
      await ask("POST", "/console/session", body);
      const next = new URLSearchParams(location.search).get("next") || "";
      // Nowhere else.
      location.href = /^\/console(?:[/?]|$)/.test(next) ? next : "/console";
    });
  });
}

document.getElementById("sign-out")?.addEventListener("click", (event) =>
  attempt(event.target, async () => {
    await ask("DELETE", "/console/session");
    location.href = "/console/sign-in";
  }),
);

// Sending: what it would do, while it is written.

const send = document.querySelector("form[data-try]");
if (send) {
  const reach = document.getElementById("reach");
  const button = send.querySelector("button.primary");
  let asked = 0;
  const words = (found) => {
    const lines = [`Reaches ${found.recipients}: ${found.connected} now, ${found.away} when they come.`];
    if (found.too_large > 0) lines.push(`${found.too_large} cannot take a message of this size.`);
    if (found.unknown.length > 0) lines.push(`Nobody is known as ${found.unknown.join(", ")}.`);
    return lines.join(" ");
  };
  const tryOut = async () => {
    const mine = ++asked;
    const { body } = fields(send);
    if (!body.to || !body.body) {
      reach.textContent = reach.dataset.needs;
      button.textContent = "Send";
      return;
    }
    let text;
    let label = "Send";
    try {
      const found = await ask("POST", "/api/v1/pushes", { ...body, dry_run: true });
      text = words(found);
      label = `Send to ${found.recipients}`;
    } catch (error) {
      text = error.message;
    }
    if (mine === asked) {
      reach.textContent = text;
      button.textContent = label;
    }
  };
  let pause;
  send.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(tryOut, 300);
  });
  tryOut();
  const adds = send.querySelector("[data-adds]");
  const names = document.getElementById("group-names");
  const add = () => {
    const to = send.querySelector(`[name="${adds.dataset.adds}"]`);
    to.value = (to.value.trim() ? to.value.trim() + "\n" : "") + "group:" + adds.value;
    adds.value = "";
    to.dispatchEvent(new Event("input", { bubbles: true }));
  };
  adds.addEventListener("input", async () => {
    if ([...names.children].some((option) => option.value === adds.value)) return add();
    try {
      const found = await ask("GET", "/api/v1/groups?limit=20&search=" + encodeURIComponent(adds.value));
      names.replaceChildren(...found.groups.map((group) => Object.assign(document.createElement("option"), { value: group.id })));
    } catch {
      // It is only a help.
    }
  });
}

// Events.

const stream = document.getElementById("stream");
if (stream) {
  const LINES = 500;
  const state = document.getElementById("stream-state");
  const pause = document.getElementById("pause");
  let isPaused = false;
  let source = null;
  const links = {
    user: (event) => "/console/devices/" + encodeURIComponent(event.user),
    group: (event) => "/console/groups/" + encodeURIComponent(event.group),
    push_id: (event) =>
      "/console/pushes/" + encodeURIComponent(event.push_id) + (event.initiator ? "?initiator=" + encodeURIComponent(event.initiator) : ""),
  };
  const line = (event) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = event.at;
    time.textContent = event.at.slice(11, 23) + " ";
    const kind = document.createElement("b");
    kind.textContent = event.event + " ";
    item.append(time, kind);
    for (const [name, value] of Object.entries(event)) {
      if (["event", "id", "at"].includes(name) || value === null || value === "") continue;
      const field = document.createElement("span");
      field.className = "field";
      field.append(name + ": ");
      const text = typeof value === "object" ? JSON.stringify(value) : String(value);
      if (links[name]) field.append(Object.assign(document.createElement("a"), { href: links[name](event), textContent: text }));
      else field.append(text);
      item.append(field, " ");
    }
    return item;
  };
  const show = (message) => {
    if (isPaused) return;
    try {
      stream.prepend(line(JSON.parse(message.data)));
    } catch {
      return;
    }
    while (stream.children.length > LINES) stream.lastChild.remove();
  };
  const open = () => {
    source = new EventSource(stream.dataset.stream);
    source.onopen = () => (state.textContent = "Following");
    source.onerror = () => (state.textContent = "The stream has ended; trying again …");
    source.onmessage = show;
    for (const kind of document.querySelectorAll('select[name="kind"] option')) {
      if (kind.value) source.addEventListener(kind.value, show);
    }
  };
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Go on" : "Pause";
  });
  window.addEventListener("pagehide", () => source?.close());
  open();
}

// Keys.

const rows = () => [...main.querySelectorAll("tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
  } else if (event.key === "j" || event.key === "k") {
    const all = rows();
    const now = all.findIndex((link) => link.closest("tr").contains(document.activeElement));
    const next = event.key === "j" ? Math.min(now + 1, all.length - 1) : Math.max(now - 1, 0);
    all[next]?.focus();
  }
});

if (!signIn) {
  label(document);
  loadAll(main).catch(() => {});
  follow();
}
