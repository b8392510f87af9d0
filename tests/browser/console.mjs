// The console in a real browser, as an operator uses it: signs in, lets a device in, sends a push, watches its bar reach 100 %, sees
// a device that refuses and why, takes a push back; on a desktop, on a phone, in the dark. Run by tests/it/browser.rs, which starts
// the gateway. Says what failed and ends with 1.
import assert from "node:assert/strict";
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PATH + "/");
const { chromium } = require("playwright-core");
const mqtt = require("mqtt");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const { CONSOLE, MQTT, OUT, CHROMIUM } = process.env;
const tokens = JSON.parse(process.env.TOKENS);
mkdirSync(OUT, { recursive: true });

/** Of one wait, in milliseconds; all steps together have ten times as long. */
const DEADLINE = 60_000;
setTimeout(() => {
  console.error("the steps took too long");
  process.exit(1);
}, 10 * DEADLINE).unref();

/** A device. `acknowledge`: what it does with a push: answers with an MQTT reason code, at once or later. */
function device(user, acknowledge = (done) => done(0), properties = {}) {
  const client = mqtt.connect(MQTT, {
    protocolVersion: 5,
    clientId: user,
    username: user,
    password: tokens[user],
    properties,
    // A push, and then the function that acknowledges it.
    customHandleAcks: (topic, message, packet, done) => acknowledge((code) => done(code)),
  });
  return new Promise((resolve, reject) => {
    client.on("connect", () => resolve(client));
    client.on("error", reject);
  });
}

/** Waits for something outside of the page. */
async function until(what, isSo) {
  const deadline = Date.now() + DEADLINE;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `waited too long for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

const faults = [];
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function visitor(token, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  page.on("console", (message) => message.type() === "error" && faults.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`page: ${error}`));
  // What is asked for is sent on to the place of signing in, and from there back.
  await page.goto(CONSOLE + "/console/groups");
  assert.equal(new URL(page.url()).pathname, "/console/sign-in");
  await page.getByLabel("Token of an operator or a viewer").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL("**/console/groups");
  return page;
}

/** Nothing that keeps people out, and nothing wider than the window. */
async function check(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run());
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  for (const one of serious) {
    faults.push(`${name}: ${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  }
  // On a phone the browser makes the window as wide as what is in it.
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  const window = page.viewportSize().width;
  if (wide > window) faults.push(`${name}: ${wide} px wide in a window of ${window}`);
  await page.screenshot({ path: `${OUT}/${name}.png`, fullPage: false });
}

async function letsIn(page) {
  await page.getByText("Make a group").click();
  await page.getByLabel("Group ID").fill("pumps/north");
  await page.getByLabel("Who may join").selectOption("approval");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.waitForURL("**/console/groups/pumps%2Fnorth");
  const pump = await device("pump-1");
  await pump.publishAsync("$push/join/pumps%2Fnorth", "");
  await page.getByRole("link", { name: "Home" }).click();
  // It comes by itself, however soon the page was there.
  const row = page.getByRole("row", { name: /pump-1/ });
  await row.getByRole("button", { name: "Approve" }).click();
  await page.locator("#joins").getByText("Nobody waits").waitFor();
  await page.goto(CONSOLE + "/console/groups/pumps%2Fnorth");
  await page.getByText("Add members").click();
  await page.getByLabel("User IDs, one on each line").fill("pump-2\npump-3\n");
  await page.getByRole("button", { name: "Add them" }).click();
  await page.locator("#members").getByRole("link", { name: "pump-3" }).waitFor();
  await check(page, "group");
}

async function send(page, to, text) {
  await page.goto(CONSOLE + "/console/send");
  await page.getByLabel("To, one address on each line").fill(to);
  await page.getByLabel("Text", { exact: true }).fill(text);
}

async function reachesEverybody(page) {
  let release = [];
  const later = (done) => release.push(() => done(0));
  await device("pump-2", later);
  await device("pump-3", later);
  await send(page, "group:pumps/north", "Close valve 7");
  await page.locator("#reach").getByText("Reaches 3: 3 now, 0 when they come.").waitFor();
  await check(page, "send");
  await page.getByRole("button", { name: "Send to 3" }).click();
  await page.getByRole("heading", { name: "1 of 3 have it" }).waitFor();
  await check(page, "push-under-way");
  await until("two devices to have it", () => release.length === 2);
  release.forEach((acknowledge) => acknowledge());
  await page.getByRole("heading", { name: "3 of 3 have it" }).waitFor();
  await page.locator("#bar").getByText("has it: 3 (100 %)").waitFor();
  await check(page, "push-delivered");
}

async function seesWhoRefuses(page) {
  // MQTT 5 §3.4.2.1: 0x83 is "implementation specific error".
  await device("grump", (done) => done(0x83));
  await send(page, "user:grump\nuser:absent", "Are you there?");
  await page.locator("#reach").getByText("Reaches 2").waitFor();
  await page.getByRole("button", { name: "Send to 2" }).click();
  const row = page.locator("#members").getByRole("row", { name: /grump/ });
  await row.getByText("refused", { exact: true }).waitFor();
  await page.locator("#members").getByRole("row", { name: /absent/ }).getByText("never-connected").waitFor();
  await check(page, "push-refused");
  await page.locator("#bar").getByRole("link", { name: /refused it/ }).click();
  await page.waitForURL("**show=refused");
  assert.equal(await page.locator("#members tbody tr").count(), 1);
  await page.goBack();
  await page.getByRole("button", { name: "Cancel" }).click();
  const dialog = page.getByRole("dialog");
  // The one that refused will not get it anyway.
  assert.match(await dialog.textContent(), /for 1 member /);
  await dialog.getByRole("button", { name: "No" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Yes, do it" }).click();
  await page.locator("#addresses").getByText("cancelled").first().waitFor();
}

/** A fleet of which some are away, one is too small and one refuses: the pictures of the README. */
async function answersWhoHasIt(page) {
  const kiosks = Object.keys(tokens).filter((name) => name.startsWith("kiosk-"));
  await page.goto(CONSOLE + "/console/groups");
  await page.getByText("Make a group").click();
  await page.getByLabel("Group ID").fill("kiosks");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.waitForURL("**/console/groups/kiosks");
  await page.getByText("Add members").click();
  await page.getByLabel("User IDs, one on each line").fill(kiosks.join("\n"));
  await page.getByRole("button", { name: "Add them" }).click();
  await page.locator("#count").getByText(String(kiosks.length), { exact: true }).waitFor();
  const [refuses, mute, small, ...others] = kiosks;
  await device(refuses, (done) => done(0x83));
  await device(mute, () => {});
  // MQTT 5 §3.1.2.11.4
  await device(small, undefined, { maximumPacketSize: 200 });
  const away = others.slice(0, 3);
  const here = others.slice(6);
  for (const user of away) await (await device(user)).endAsync();
  await Promise.all(here.map((user) => device(user)));
  const content = "Opening hours from Monday: " + "Mon to Sat 8:00 to 20:00. ".repeat(10);
  const posted = await page.request.post(CONSOLE + "/api/v1/pushes", {
    headers: { "X-CSRF-Token": await page.locator('meta[name="csrf"]').getAttribute("content") },
    data: { to: ["group:kiosks"], body: content, push_id: "opening-hours-48", delivery: "confirmed" },
  });
  assert.equal(posted.status(), 202, await posted.text());
  const whose = "?initiator=" + encodeURIComponent("$operator/ann");
  await page.goto(CONSOLE + "/console/pushes/opening-hours-48" + whose);
  await page.getByRole("heading", { name: `${here.length} of ${kiosks.length} have it` }).waitFor();
  for (const words of ["sent, not acknowledged: 1", "away: 3", "never connected: 3", "too large for it: 1", "refused it: 1"]) {
    await page.locator("#bar").getByText(words).waitFor();
  }
  await check(page, "who-has-it");
  await page.goto(CONSOLE + "/console/pushes/opening-hours-48" + whose + "&show=missing");
  assert.equal(await page.locator("#members tbody tr").count(), kiosks.length - here.length);
  await check(page, "who-has-it-not");
  await page.goto(CONSOLE + "/console");
  await page.locator("#under-way").getByText("never connected: 3").waitFor();
  await check(page, "home-under-way");
}

async function looksAround(page) {
  for (const [place, name] of [
    ["/console", "home"],
    ["/console/pushes", "pushes"],
    ["/console/groups", "groups"],
    ["/console/devices", "devices"],
    ["/console/devices/grump", "device"],
    ["/console/operations?settings=all", "operations"],
  ]) {
    await page.goto(CONSOLE + place);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await check(page, name);
  }
  await page.goto(CONSOLE + "/console/devices");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  assert.equal(await page.evaluate(() => document.activeElement.closest("tr")?.rowIndex), 2);
  await page.keyboard.press("/");
  await page.keyboard.type("PUMP");
  await page.keyboard.press("Enter");
  await page.waitForURL("**search=PUMP**");
  assert.equal(await page.locator("tbody tr").count(), 3);
  await page.goto(CONSOLE + "/console/live");
  await page.getByText("Following").waitFor();
  const late = await device("late");
  await page.locator("#stream").getByText("connect", { exact: false }).first().waitFor();
  await check(page, "live");
  await late.endAsync();
}

async function deletesByName(page) {
  await page.goto(CONSOLE + "/console/groups/pumps%2Fnorth");
  await page.getByRole("button", { name: "Delete this group" }).click();
  const dialog = page.getByRole("dialog");
  assert.match(await dialog.textContent(), /3 members/);
  const yes = dialog.getByRole("button", { name: "Yes, do it" });
  assert.equal(await yes.isDisabled(), true);
  await dialog.getByLabel("Type the name to go on").fill("pumps/north");
  await yes.click();
  await page.waitForURL("**/console/groups");
  await page.locator("#groups").getByText("kiosks").first().waitFor();
  assert.equal(await page.getByText("pumps/north").count(), 0);
}

try {
  const page = await visitor(tokens.ann);
  await letsIn(page);
  await reachesEverybody(page);
  const delivered = page.url();
  await seesWhoRefuses(page);
  await answersWhoHasIt(page);
  await looksAround(page);
  for (const [name, options] of [
    ["phone", { viewport: { width: 390, height: 844 }, isMobile: true }],
    ["dark", { colorScheme: "dark" }],
    ["phone-dark", { viewport: { width: 390, height: 844 }, isMobile: true, colorScheme: "dark" }],
  ]) {
    const other = await visitor(tokens.ann, options);
    for (const [place, what] of [
      ["/console", "home"],
      [new URL(delivered).pathname + new URL(delivered).search, "push"],
      ["/console/pushes/opening-hours-48?initiator=%24operator%2Fann&show=missing", "who-has-it-not"],
      ["/console/groups/pumps%2Fnorth", "group"],
      ["/console/send", "send"],
      ["/console/devices", "devices"],
      ["/console/operations", "operations"],
    ]) {
      await other.goto(CONSOLE + place);
      await check(other, `${what}-${name}`);
    }
    await other.context().close();
  }
  const viewer = await visitor(tokens.vic);
  await viewer.goto(CONSOLE + "/console/groups/pumps%2Fnorth");
  assert.equal(await viewer.locator("button[data-act], form[data-act]").count(), 0, "a viewer changes nothing");
  await deletesByName(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/console/sign-in");
  assert.deepEqual(faults, []);
  console.log("the console works");
  process.exitCode = 0;
} catch (error) {
  console.error(error);
  for (const fault of faults) console.error(fault);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.exit();
}
