// The operator's page: signs in, and shows groups and pushes with what the JSON API says. All text goes in as text.
"use strict";

const REFRESH = 5000;
const at = (id) => document.getElementById(id);
let me = null;

async function ask(method, path, body) {
  // So marked, a 401 asks no questions of the browser's own.
  const headers = { "X-Requested-With": "papcast-console" };
  if (body) headers["Content-Type"] = "application/json";
  if (me && me.csrf) headers["X-CSRF-Token"] = me.csrf;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const said = text ? JSON.parse(text) : null;
  if (!answer.ok) throw Object.assign(new Error((said && said.detail) || answer.statusText), { status: answer.status });
  return said;
}

function row(...cells) {
  const line = document.createElement("tr");
  for (const cell of cells) {
    const box = document.createElement("td");
    if (cell instanceof Node) box.append(cell);
    else box.textContent = cell;
    if (typeof cell === "number") box.className = "number";
    line.append(box);
  }
  return line;
}

function cancelButton(push) {
  const button = document.createElement("button");
  button.textContent = "Cancel";
  button.addEventListener("click", async () => {
    button.disabled = true;
    const whose = "?initiator=" + encodeURIComponent(push.initiator);
    await attempt(() => ask("DELETE", "/api/v1/pushes/" + encodeURIComponent(push.push_id) + whose));
    await refresh();
  });
  return button;
}

function pushRows(push) {
  const open = push.addresses.some((address) => ["pending", "scheduled"].includes(address.state));
  return push.addresses.map((address, number) => {
    const last = open && number === 0 && me.role === "operator" ? cancelButton(push) : "";
    return row(push.push_id, push.initiator, push.created_at, address.address, address.state, address.desc || "", last);
  });
}

async function refresh() {
  const [groups, pushes] = await Promise.all([ask("GET", "/api/v1/groups?limit=50"), ask("GET", "/api/v1/pushes?limit=50&initiator=*")]);
  at("groups").replaceChildren(...groups.groups.map((group) => row(group.id, group.policy, group.members)));
  at("pushes").replaceChildren(...pushes.pushes.flatMap(pushRows));
}

// Says what went wrong; somebody whose session is over signs in again.
async function attempt(work) {
  try {
    at("message").textContent = "";
    await work();
  } catch (error) {
    if (error.status === 401 || !me) show(null);
    if (error.status !== 401) at("message").textContent = error.message;
  }
}

function show(signedIn) {
  me = signedIn;
  at("sign-in").hidden = Boolean(me);
  at("overview").hidden = !me;
  at("who").hidden = !(me && me.operator);
  at("name").textContent = me && me.operator ? me.operator + " (" + me.role + ")" : "";
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    try {
      show(await ask("POST", "/console/session", { token: at("token").value }));
    } catch (error) {
      throw new Error(error.message);
    } finally {
      at("token").value = "";
    }
    await refresh();
  });
});

at("sign-out").addEventListener("click", () =>
  attempt(async () => {
    await ask("DELETE", "/console/session");
    show(null);
  }),
);

attempt(async () => {
  show(await ask("GET", "/console/session"));
  await refresh();
});
setInterval(() => me && !document.hidden && attempt(refresh), REFRESH);
