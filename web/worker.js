"use strict";
// An engine: the module comes first, then questions, one after the other.
let engine;
onmessage = async ({ data: { compiled, path, body } }) => {
  if (compiled) {
    engine = (await WebAssembly.instantiate(compiled, {})).exports;
    return postMessage({});
  }
  const asked = new TextEncoder().encode(`${path}\n${body}`);
  const room = engine.room(asked.length); // which may move the memory
  new Uint8Array(engine.memory.buffer, room, asked.length).set(asked);
  let status;
  try {
    status = engine.answer();
  } catch {
    status = 500; // what it tells is why
  }
  const told = new Uint8Array(engine.memory.buffer, engine.told(), engine.told_bytes());
  postMessage({ status, told: JSON.parse(new TextDecoder().decode(told)) });
};
