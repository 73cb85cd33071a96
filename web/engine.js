"use strict";
// Who answers where there is no server: the library as WebAssembly, which lies within this page, in workers. One for each
// place of the page that asks, and one that waits to take the place of an engine that is ended: that is how a newer
// question ends an older one, as nothing can interrupt an engine.
(() => {
  const PATIENCE = 120; // ms that a newer question waits for the older one, which is mostly a coarse one
  const text = (id) => document.getElementById(id).textContent;
  const worker = URL.createObjectURL(new Blob([text("worker")], { type: "text/javascript" }));
  const unpacked = async () => {
    const bytes = Uint8Array.from(atob(text("module")), (letter) => letter.charCodeAt(0));
    const packed = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return WebAssembly.compile(await new Response(packed).arrayBuffer());
  };
  const compiled = unpacked();

  class Engine {
    constructor() {
      this.worker = new Worker(worker);
      this.worker.onmessage = ({ data }) => this.heard(data);
      this.free = this.wait(compiled.then((compiled) => this.worker.postMessage({ compiled })));
    }

    // Until the worker says something, or is ended.
    wait(sent) {
      return new Promise((heard, ended) => {
        Object.assign(this, { heard, ended });
        sent?.catch(ended);
      });
    }

    async ask(path, body) {
      const told = this.free.then(() => {
        const heard = this.wait();
        this.worker.postMessage({ path, body });
        return heard;
      });
      this.asking = true;
      this.free = told.then(() => (this.asking = false), () => {});
      return told;
    }

    end() {
      this.worker.terminate();
      this.ended(new DOMException("a newer question took its place", "AbortError"));
    }
  }

  const engines = new Map();
  let spare = new Engine();
  const taken = () => {
    const engine = spare;
    spare = new Engine();
    return engine;
  };
  const later = (ms) => new Promise((done) => setTimeout(done, ms));

  // As a server of `moesim explore` answers: a status, and JSON.
  window.engine = async (path, ask, slot, signal) => {
    let own = engines.get(slot);
    if (own?.asking) {
      await Promise.race([own.free, later(PATIENCE)]);
      signal?.throwIfAborted();
    }
    if (own?.asking || !own) {
      own?.end();
      own = taken();
      engines.set(slot, own);
    }
    const { status, told } = await own.ask(path, ask === undefined ? "" : JSON.stringify(ask));
    if (status === 500 && engines.get(slot) === own) {
      own.end();
      engines.delete(slot);
    }
    return [status, told];
  };
})();
