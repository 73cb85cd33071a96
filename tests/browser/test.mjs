// Does the explorer show what `moesim run` says, to everybody, and does a report open from a disk?
//
// A pass says: the page loads without an error; after τ and a bandwidth are dragged its numbers are those of the
// command that it shows; two set-ups are compared; a link opens the same; reports open from a file, say their numbers
// where one points, and ask for nothing; axe finds nothing serious, light and dark, at both widths, and all looks as its
// golden (look.mjs). It does not say that it is good to look at: look at target/browser/*.png.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { DECIDED, LAUNCH, looked, set } from "./look.mjs";

const moesim = process.env.MOESIM;
const scratch = mkdtempSync(path.join(tmpdir(), "moesim-"));
// What people do not notice as waiting; a loaded machine is given more before it is a failure.
const QUICK_MS = 200;
const FAILS_MS = 2000;

const server = spawn(moesim, ["explore", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const address = await new Promise((told) => server.stdout.once("data", (line) => told(String(line).split("\n")[0].trim())));
const browser = await chromium.launch(LAUNCH);

// A page whose errors, and requests to anywhere but `own`, fail the test.
async function opened(url, own, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("console", (message) => message.type() === "error" && page.wrong.push(message.text()));
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(own) && !asked.startsWith("data:") && !asked.startsWith("blob:")) page.wrong.push(`asks ${asked}`);
  });
  await page.goto(url);
  await set(page);
  return page;
}

const turn = (page, at) => page.evaluate((at) => Number(document.querySelectorAll(".setup")[at].dataset.settled ?? 0), at);
const settled = (page, at, after) =>
  page.waitForFunction(
    ([at, after]) => {
      const setup = document.querySelectorAll(".setup")[at];
      return setup && Number(setup.dataset.settled ?? 0) > after && setup.querySelector(".result").getAttribute("aria-busy") === "false";
    },
    [at, after],
    { timeout: 60000 },
  );

// What the command that the page shows gives, with the files that the page saves.
async function commanded(page, at) {
  const setup = page.locator(".setup").nth(at);
  const saved = await page.evaluate(async (at) => {
    const state = new URLSearchParams(location.hash.slice(1));
    const answer = await fetch("/api/export/toml", {
      method: "POST",
      headers: { "Content-Type": "application/json", "x-page": "browser-test" },
      body: state.get("ab"[at]),
    });
    return answer.json();
  }, at);
  for (const [name, text] of saved.files) writeFileSync(path.join(scratch, name), text);
  const command = await setup.locator("pre code").first().textContent();
  assert.ok(command.startsWith("moesim run explore.toml"), command);
  const printed = execFileSync("sh", ["-c", `"$0" ${command.slice("moesim ".length)}`, moesim], { cwd: scratch });
  return JSON.parse(printed);
}

async function shows(page, at) {
  const run = await commanded(page, at);
  const moepp = run.results[1];
  const setup = page.locator(".setup").nth(at);
  const said = await setup.locator("[data-gain]").first().textContent();
  const gain = moepp.throughput_increase_percent.toFixed(1);
  assert.ok(said.includes(`MoE++ gives ${gain} `), `${said}: moesim run has ${gain}`);
  assert.equal(Number(await setup.getAttribute("data-gain")), moepp.throughput_increase_percent);
  const times = await setup.locator("table").first().textContent();
  assert.ok(times.includes(moepp.moe_layers_ms.toFixed(3)), times);
  return gain;
}

async function explorer() {
  const page = await opened(address, address);
  await settled(page, 0, 0);
  const first = await shows(page, 0);
  // τ by the mouse, a bandwidth by the keyboard.
  const slider = await page.locator('input[name="tau"]').boundingBox();
  let before = await turn(page, 0);
  await page.mouse.move(slider.x + slider.width * 0.36, slider.y + slider.height / 2);
  await page.mouse.down();
  await page.mouse.move(slider.x + slider.width * 0.12, slider.y + slider.height / 2, { steps: 12 });
  await page.mouse.up();
  await settled(page, 0, before);
  const second = await shows(page, 0);
  assert.notEqual(first, second, "τ was dragged");
  before = await turn(page, 0);
  await page.getByLabel(/scale-up/).focus();
  for (let press = 0; press < 8; press += 1) await page.keyboard.press("ArrowLeft");
  await settled(page, 0, before);
  const third = await shows(page, 0);
  assert.notEqual(second, third, "NVLink was dragged");
  assert.match(await page.locator("pre code").first().textContent(), /topology\.nodes\.scale-up\.nvswitch\.bandwidth=112\.5 GB\/s/);
  await looked(page, "explore", DECIDED);

  // A link opens the same.
  const again = await opened(page.url(), address);
  await settled(again, 0, 0);
  assert.equal(await shows(again, 0), third);
  await again.context().close();

  before = await turn(page, 0);
  await page.getByRole("button", { name: "Two set-ups side by side" }).click();
  await settled(page, 1, 0);
  await shows(page, 1);
  const both = await page.locator("#both").textContent();
  assert.match(both, /^B gives [\d.]+ × the tokens\/s of A with MoE\+\+; its gain is [\d.]+ points/);
  await looked(page, "two", DECIDED);

  // What is refused is said, and does not stay.
  before = await turn(page, 0);
  await page.locator('input[name="expert_parallel"]').first().fill("1000");
  await page.locator(".mistake").first().waitFor();
  await page.locator('input[name="expert_parallel"]').first().fill("");
  await settled(page, 0, before);
  assert.ok(await page.locator(".mistake").first().isHidden());
  assert.deepEqual(page.wrong.filter((line) => !/status of (409|422)/.test(line)), []);

  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Report" }).first().click();
  const report = path.join(scratch, "report.html");
  await (await saved).saveAs(report);
  await page.context().close();
  return report;
}

async function quick() {
  const page = await opened(address, address);
  await settled(page, 0, 0);
  const waits = await page.evaluate(async () => {
    const tau = document.querySelector('input[name="tau"]');
    const gain = document.querySelector("p[data-gain]");
    const waits = [];
    for (let at = 0; at < 20; at += 1) {
      const changed = new Promise((done) => {
        const observer = new MutationObserver(() => (observer.disconnect(), done()));
        observer.observe(gain, { childList: true, characterData: true, subtree: true });
      });
      tau.value = 0.3 + 0.03 * at;
      const began = performance.now();
      tau.dispatchEvent(new Event("input", { bubbles: true }));
      await changed;
      waits.push(performance.now() - began);
      await new Promise((done) => setTimeout(done, 30));
    }
    return waits.sort((a, b) => a - b);
  });
  const [median, p95] = [waits[10], waits[18]];
  console.log(`coarse answers after a drag: median ${median.toFixed(0)} ms, 95 % within ${p95.toFixed(0)} ms (aim: ${QUICK_MS})`);
  assert.ok(p95 < FAILS_MS, `${p95} ms`);
  await page.context().close();
}

// A thousand requests, three of four of them bad: each bad one is refused, and the default study stays quick.
async function loopback() {
  const { hostname, port } = new URL(address);
  const ask = (body, more = {}) =>
    new Promise((done, failed) => {
      const headers = { "Content-Type": "application/json", "x-page": "loopback", ...more };
      const began = performance.now();
      const asked = http.request({ hostname, port, path: "/api/ask", method: "POST", agent: false, headers }, (answer) => {
        answer.resume().on("end", () => done([answer.statusCode, performance.now() - began]));
      });
      asked.on("error", failed).end(body);
    });
  const study = { model: "moe-1b", cluster: "h100-4x8-rail", tau: 0.75, uncertain: true, micro_batches: 1, seeds: 8 };
  const [waits, whole] = [[], []];
  for (let at = 0; at < 250; at += 1) {
    const tau = 0.3 + 0.005 * at;
    const bad = [
      [JSON.stringify({ ...study, tokens_per_gpu: 1e300 })],
      [JSON.stringify({ ...study, cluster: "../../etc/passwd" })],
      [JSON.stringify(study), { Origin: "http://example.org" }],
    ];
    for (const [body, more] of bad) {
      const [status] = await ask(body, more);
      assert.ok(status >= 400 && status < 500, `${status}: ${body}`);
    }
    const settled = at % 10 === 0;
    const [status, ms] = await ask(JSON.stringify({ ...study, tau, coarse: !settled }));
    assert.equal(status, 200);
    (settled ? whole : waits).push(ms);
  }
  const p95 = (all) => all.sort((a, b) => a - b)[Math.floor(0.95 * all.length)];
  const [coarse, settled] = [p95(waits), p95(whole)];
  console.log(`1000 requests, 750 of them bad: 95 % of coarse answers within ${coarse.toFixed(0)} ms (aim: ${QUICK_MS}), of settled ones within ${settled.toFixed(0)} ms`);
  assert.ok(coarse < FAILS_MS, `${coarse} ms`);
}

// The page that the explorer saved, one of a command's result, and those of results that are stored.
async function reports(first) {
  const make = (result, out) => {
    const file = path.join(scratch, out);
    execFileSync(moesim, ["report", result, "--out", file], { cwd: scratch });
    return file;
  };
  const compared = ["compare", "h100-4x8-rail", "gb200-nvl72", "--equal", "cost", "--seeds", "0..2", "--json"];
  writeFileSync(path.join(scratch, "compared.json"), execFileSync(moesim, compared, { cwd: scratch }));
  const files = [[first], [make("compared.json", "compared.html")]];
  for (const name of readdirSync(process.env.STORED).sort()) {
    files.push([make(path.join(process.env.STORED, name), `${path.parse(name).name}.html`), ""]);
  }
  for (const [file, hidden] of files) {
    const url = pathToFileURL(file).href;
    const page = await opened(url, url, { offline: true });
    // What is drawn last lies above.
    const place = page.locator("[data-hint]").last();
    if ((await place.count()) > 0) {
      await place.hover({ force: true });
      const said = await page.locator("#hint").textContent();
      assert.equal(said, await place.getAttribute("data-hint"));
      await page.mouse.move(2, 2);
    }
    await looked(page, path.basename(file, ".html"), hidden);
    assert.deepEqual(page.wrong, [], file);
    await page.context().close();
  }
}

try {
  const report = await explorer();
  await quick();
  await loopback();
  await reports(report);
  console.log("explorer and reports: as the command line has them, in Chromium");
} finally {
  await browser.close();
  server.kill();
}
