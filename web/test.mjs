// Does the engine in WebAssembly answer what moesim answers, to the last bit? `node test.mjs ENGINE.wasm MOESIM`
//
// A pass says: every answer of these questions, results, pictures and files, is the same text as the server's of the same
// version. It does not say so of all questions.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";

const [wasm, moesim] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(wasm), {});
const engine = instance.exports;

function answered(path, body) {
  const asked = new TextEncoder().encode(`${path}\n${body}`);
  const room = engine.room(asked.length); // which may move the memory
  new Uint8Array(engine.memory.buffer, room, asked.length).set(asked);
  const status = engine.answer();
  return [status, new TextDecoder().decode(new Uint8Array(engine.memory.buffer, engine.told(), engine.told_bytes()))];
}

const server = spawn(moesim, ["explore", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const address = await new Promise((told) => server.stdout.once("data", (line) => told(String(line).split("\n")[0].trim())));

// A connection each: the server closes those that are idle.
const served = (path, body) =>
  new Promise((done, failed) => {
    const headers = { "Content-Type": "application/json", "x-page": "engine-test" };
    const asked = http.request(address + path, { agent: false, method: body === "" ? "GET" : "POST", headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => done([answer.statusCode, text]));
    });
    asked.on("error", failed).end(body);
  });

const base = { model: "moe-1b", cluster: "h100-4x8-rail" };
const QUESTIONS = [
  ["choices"],
  ["ask", { ...base, coarse: true }],
  ["ask", { ...base, seeds: 2, uncertain: true, micro_batches: 1 }],
  ["ask", { ...base, cluster: "gb200-nvl72", seeds: 1, tau: 0.31, popularity_sd: 1.2, micro_batches: 1, counted: "model-forward" }],
  ["ask", { model: "mixtral-8x7b", cluster: "a100-4x8", seeds: 1, micro_batches: 1, expert_parallel: 4, library: "nccl", bandwidth: { "nodes.nic.bandwidth": 0.25 } }],
  ["ask", { model: "qwen2-57b-a14b", cluster: "h800-8x8", seeds: 1, micro_batches: 1, overlap: "two-batch", uncertain: true }],
  ["ask", { model: "qwen3-30b-a3b", cluster: "mi300x-4x8", coarse: true }],
  ["ask", { model: "longcat-flash", cluster: "h20-4x8", seeds: 1, micro_batches: 1 }],
  ["ask", { ...base, counted: "training-step", seeds: 1 }],
  ["ask", { ...base, expert_parallel: 1000 }],
  ["ask", { ...base, overlap: "single-batch", execution: "grouped", seeds: 1, micro_batches: 1 }],
  ["ask", []],
  ["export/csv", { ...base, seeds: 2, micro_batches: 1 }],
  ["export/report", { ...base, seeds: 1, micro_batches: 1 }],
  ["export/toml", { ...base, model: "mixtral-8x7b" }],
];

let different = 0;
process.on("exit", () => server.kill());
for (const [path, ask] of QUESTIONS) {
  const body = ask === undefined ? "" : JSON.stringify(ask);
  const began = performance.now();
  const own = answered(`api/${path}`, body);
  const middle = performance.now();
  const theirs = await served(`api/${path}`, body);
  const ended = performance.now();
  const same = own[0] === theirs[0] && own[1] === theirs[1];
  different += !same;
  const times = `${(middle - began).toFixed(0)} ms in WebAssembly, ${(ended - middle).toFixed(0)} ms by the server`;
  console.log(`${same ? "same" : "DIFFERENT"}: ${path} ${body.slice(0, 110)}: ${own[0]}, ${own[1].length} letters, ${times}`);
  if (!same) differences(own[1], theirs[1]);
}

// Where two answers differ, as far as that is seen.
function differences(own, theirs) {
  let at = 0;
  while (at < own.length && own[at] === theirs[at]) at += 1;
  console.log(`  own:    …${own.slice(Math.max(0, at - 60), at + 40)}\n  theirs: …${theirs.slice(Math.max(0, at - 60), at + 40)}`);
}

assert.equal(different, 0, `${different} of ${QUESTIONS.length} answers differ`);
console.log(`all ${QUESTIONS.length} answers are the same in WebAssembly and by moesim, to the last bit`);
process.exit();
