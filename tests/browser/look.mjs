// What tests of pages share: is a page accessible, does it fit its window, and does it look as it did?
//
// Goldens (tests/browser/goldens, one picture a page: 1280 and 390 pixels wide, light, then dark) are screenshots in a
// quarter of the size with sixteen levels a colour, of long pages the first 2,560 pixels. A page fails where more than one in two thousand of their pixels differs, or one
// in 25 of any tile of 96 × 96 pixels of the screen, so that a legend that is gone is seen: UPDATE_EXPECT=1 tests/browser/run
// BINARY [PAGE] makes them anew; look at them. Chromium of another version than theirs may draw otherwise: then what differs is
// said and skipped. Every page is set in the font that moesim ships, whatever fonts the machine has. What predictions decide is
// hidden, or comes from results that are stored: goldens change with pages and pictures alone.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(path.join(here, "node_modules/axe-core/axe.min.js"), "utf8");
const font = readFileSync(process.env.FONT).toString("base64");
const WIDTHS = [1280, 390];
// Of the screen in one of a golden, and levels of a colour.
const SMALLER = 4;
const LEVELS = 16;
const HIGHEST = 640;
const MOST_DIFFER = 0.0005;
const TILE = 24;
const MOST_OF_TILE = 0.04;

// What predictions decide of the explorer: pictures and numbers.
export const DECIDED = "figure svg, figure li, .result td, .result tbody th, p[data-gain], p[data-state], #both, #said";

export const LAUNCH = {
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-lcd-text", "--force-color-profile=srgb"],
};

// Sets a page in one font, by means that no policy of a page forbids.
export const set = (page) =>
  page.evaluate(async (font) => {
    const face = new FontFace("Set", Uint8Array.from(atob(font), (letter) => letter.charCodeAt(0)));
    document.fonts.add(await face.load());
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { font-family: Set !important; }");
    document.adoptedStyleSheets = [sheet];
  }, font);

export async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = serious.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join("; ")}`);
  assert.deepEqual(told, [], `${what}: axe`);
}

async function fits(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${what}: ${wide} pixels wider than the window`);
}

// A page in both widths, light and dark; compared with its golden, what `hidden` selects left out, where it has one.
// What differs is looked at twice more, in case it was not painted yet.
export async function looked(page, name, hidden) {
  for (let left = 2; ; left -= 1) {
    try {
      return await lookedOnce(page, name, hidden);
    } catch (wrong) {
      if (left === 0 || !String(wrong.message).includes("looks otherwise")) throw wrong;
      console.log(`${wrong.message.split(":")[0]}; once more`);
      await page.waitForTimeout(2000);
    }
  }
}

async function lookedOnce(page, name, hidden) {
  const shots = [];
  await page.evaluate(() => window.scrollTo(0, 0));
  for (const colorScheme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const what = `${name}-${width}-${colorScheme}`;
      await fits(page, what);
      // Of stored results each width is looked at once.
      if (hidden !== "" || (colorScheme === "dark") === (width < 500)) await accessible(page, what);
      const own = { fullPage: true, animations: "disabled", caret: "hide" };
      const whole = await still(page, { ...own, path: path.join(here, `${what}.png`) });
      if (hidden === undefined) continue;
      const style = `${hidden} { visibility: hidden !important; }`;
      shots.push(smaller(PNG.sync.read(hidden ? await still(page, { ...own, style }) : whole)));
    }
  }
  if (hidden !== undefined) compared(name, beside(shots), page.context().browser().version().split(".")[0]);
  await page.setViewportSize({ width: WIDTHS[0], height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

// A screenshot once two in a row are alike: on a busy machine Chromium hands out pictures whose scrolled parts it has not
// painted yet.
async function still(page, how) {
  const settled = () => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(window.done, 50)));
  const painted = () => page.evaluate(`new Promise((done) => { window.done = done; (${settled})(); })`);
  await painted();
  let last = await page.screenshot(how);
  for (let tries = 0; tries < 20; tries += 1) {
    await painted();
    const next = await page.screenshot(how);
    if (next.equals(last)) return next;
    last = next;
  }
  return last;
}

// A picture in a quarter of its size, each pixel the mean of those it stands for, in few colours.
function smaller(from) {
  const [width, height] = [from.width, from.height].map((pixels) => Math.ceil(pixels / SMALLER));
  const to = new PNG({ width, height: Math.min(height, HIGHEST) });
  for (let y = 0; y < to.height; y += 1) {
    for (let x = 0; x < to.width; x += 1) {
      const sums = [0, 0, 0, 0];
      for (let row = y * SMALLER; row < Math.min((y + 1) * SMALLER, from.height); row += 1) {
        for (let column = x * SMALLER; column < Math.min((x + 1) * SMALLER, from.width); column += 1) {
          const at = (row * from.width + column) * 4;
          for (let channel = 0; channel < 3; channel += 1) sums[channel] += from.data[at + channel];
          sums[3] += 1;
        }
      }
      const level = (sum) => Math.round((Math.round((sum / sums[3] / 255) * (LEVELS - 1)) * 255) / (LEVELS - 1));
      to.data.set([...sums.slice(0, 3).map(level), 255], (y * to.width + x) * 4);
    }
  }
  return to;
}

function beside(shots) {
  const width = shots.reduce((sum, shot) => sum + shot.width, 0);
  const whole = new PNG({ width, height: Math.max(...shots.map((shot) => shot.height)) });
  whole.data.fill(255);
  let left = 0;
  for (const shot of shots) {
    PNG.bitblt(shot, whole, 0, 0, shot.width, shot.height, left, 0);
    left += shot.width;
  }
  return whole;
}

const written = (picture, file) =>
  writeFileSync(file, PNG.sync.write(picture, { colorType: 2, inputHasAlpha: true, deflateLevel: 9 }));

function compared(name, now, version) {
  const golden = path.join(process.env.GOLDENS, `${name}.png`);
  const drawnBy = path.join(process.env.GOLDENS, "../chromium-of-goldens");
  if (process.env.UPDATE_EXPECT === "1") {
    writeFileSync(drawnBy, `${version}\n`);
    return written(now, golden);
  }
  const theirs = readFileSync(drawnBy, "utf8").trim();
  try {
    same(name, now, golden);
  } catch (wrong) {
    if (version === theirs) throw wrong;
    console.log(`skipped, ${name}: it differs from its golden, which is of Chromium ${theirs}, and this is ${version}`);
  }
}

function same(name, now, golden) {
  const [own, difference] = ["now", "difference"].map((what) => path.join(here, `${name}-${what}.png`));
  written(now, own);
  const again = "UPDATE_EXPECT=1 tests/browser/run BINARY makes it anew; look at it";
  assert.ok(existsSync(golden), `${name}: there is no ${golden}: ${again}`);
  const before = PNG.sync.read(readFileSync(golden));
  const { width, height } = before;
  assert.deepEqual([now.width, now.height], [width, height], `${name} has another size than its golden (${own}): ${again}`);
  const marked = new PNG({ width, height });
  const differ = pixelmatch(before.data, now.data, marked.data, width, height, { threshold: 0.1, includeAA: true, diffMask: true });
  const worst = worstTile(marked);
  if (differ > 0) written(marked, difference);
  const said = `${((100 * differ) / (width * height)).toFixed(3)} % of it, ${(100 * worst).toFixed(1)} % of a tile`;
  assert.ok(differ <= MOST_DIFFER * width * height && worst <= MOST_OF_TILE, `${name} looks otherwise, ${said}: ${difference}: ${again}`);
  if (differ > 0) console.log(`${name}: differs from its golden in ${said}, which is allowed`);
}

// The largest share of a tile that is marked.
function worstTile({ width, height, data }) {
  const tiles = new Map();
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (data[(y * width + x) * 4 + 3] === 0) continue;
      const tile = `${Math.floor(x / TILE)},${Math.floor(y / TILE)}`;
      tiles.set(tile, (tiles.get(tile) ?? 0) + 1);
    }
  }
  return Math.max(0, ...tiles.values()) / TILE ** 2;
}
