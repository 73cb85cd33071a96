// Does the explorer without a server work from a disk and from a host, and does it show what moesim computes?
//
// A pass says: the page opens from a file and over HTTP, asks nobody for anything, and shows the gain that the binary's own
// server gives for the same question, to the last bit, also after τ is dragged; a report is saved; axe finds nothing serious. It
// is the page of tests/browser/test.mjs, which is compared with goldens there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { LAUNCH, looked, set } from "./look.mjs";

const file = process.env.PAGE;
const moesim = spawn(process.env.MOESIM, ["explore", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => moesim.kill());
const address = await new Promise((told) => moesim.stdout.once("data", (line) => told(String(line).split("\n")[0].trim())));
const host = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html; charset=utf-8").end(readFileSync(file)));
await new Promise((ready) => host.listen(0, "127.0.0.1", ready));
const browser = await chromium.launch(LAUNCH);
const SLOW = { timeout: 240000 };
// Small: tests are built to compile quickly, not to answer quickly.
const ask = { model: "moe-1b", cluster: "a100-4x8", micro_batches: 1, seeds: 2, uncertain: true, tau: 0.75 };

const served = (body) =>
  new Promise((done, failed) => {
    const headers = { "Content-Type": "application/json", "x-page": "alone" };
    const asked = http.request(`${address}api/ask`, { agent: false, method: "POST", headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => done(JSON.parse(text)));
    });
    asked.on("error", failed).end(body);
  });

const settled = (page, after) =>
  page.waitForFunction(
    (after) => {
      const setup = document.querySelector(".setup");
      return setup && Number(setup.dataset.settled ?? 0) > after && setup.querySelector(".result").getAttribute("aria-busy") === "false";
    },
    after,
    SLOW,
  );

// That the page shows what the binary computes for what stands in its address.
async function same(page) {
  const state = new URLSearchParams(await page.evaluate(() => location.hash.slice(1)));
  const { result } = await served(state.get("a"));
  const shown = Number(await page.locator(".setup").first().getAttribute("data-gain"));
  assert.equal(shown, result.results[1].throughput_increase_percent);
  const times = await page.locator(".setup table").first().textContent();
  assert.ok(times.includes(result.results[1].moe_layers_ms.toFixed(3)), times);
  return shown;
}

async function opened(url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => {
    const asked = request.url();
    if (asked.split("#")[0] !== url && !/^(data|blob):/.test(asked)) wrong.push(`asks ${asked}`);
  });
  const began = performance.now();
  await page.goto(`${url}#${new URLSearchParams({ a: JSON.stringify(ask) })}`);
  await set(page);
  await settled(page, 0);
  console.log(`${url.split(":")[0]}: the first answer after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const first = await same(page);
  const before = Number(await page.locator(".setup").first().getAttribute("data-settled"));
  await page.getByLabel(/^τ/).first().focus();
  for (let press = 0; press < 5; press += 1) await page.keyboard.press("ArrowLeft");
  await settled(page, before);
  assert.notEqual(await same(page), first, "τ was dragged");
  return { page, wrong };
}

try {
  for (const url of [pathToFileURL(file).href, `http://127.0.0.1:${host.address().port}/`]) {
    const { page, wrong } = await opened(url);
    if (url.startsWith("file:")) {
      const saved = page.waitForEvent("download", SLOW);
      await page.getByRole("button", { name: "Report" }).first().click();
      const report = readFileSync(await (await saved).path(), "utf8");
      assert.ok(report.includes("A stretch of the timeline"), "the report");
      await looked(page, "alone");
    }
    assert.deepEqual(wrong, []);
    await page.context().close();
  }
  console.log("the explorer without a server: as moesim computes it, from a disk and from a host, in Chromium");
} finally {
  await browser.close();
  moesim.kill();
  host.close();
}
