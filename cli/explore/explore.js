"use strict";
// The page of `moesim explore`: what is chosen becomes a question, first a coarse one, then one that settles.
(async () => {
  const COARSE_AFTER = 30; // ms without a change
  const SETTLED_AFTER = 250;
  const own = Math.random().toString(36).slice(2, 12);
  const made = (name, text, attributes = {}) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return element;
  };
  const say = (text) => {
    const said = document.getElementById("said");
    said.textContent = text;
    setTimeout(() => said.textContent === text && (said.textContent = ""), 4000);
  };
  // Who answers: the server that sent this page, or an engine within it.
  const server = async (path, ask, slot, signal) => {
    const headers = { "Content-Type": "application/json", "x-page": `${own}-${slot}` };
    const answer = await fetch(path, ask === undefined ? {} : { method: "POST", signal, headers, body: JSON.stringify(ask) });
    return [answer.status, await answer.json()];
  };
  const answered = window.engine ?? server;
  const [, choices] = await answered("api/choices", undefined, "choices");
  const DEFAULTS = [
    { model: "moe-1b", cluster: "h100-4x8-rail" },
    { model: "moe-1b", cluster: "gb200-nvl72" },
  ];
  const SELECTS = ["model", "cluster", "counted", "phase", "library", "overlap", "execution"];
  const NUMBERS = ["tokens_per_gpu", "context", "micro_batches", "expert_parallel", "tensor_parallel", "pipeline_parallel", "popularity_sd", "seeds"];

  const figures = (value, most = 4) => {
    if (value === null || value === undefined) return "–";
    if (Math.abs(value) >= 1e6 && Math.abs(value) < 1e10) return `${(value / 1e6).toPrecision(most)} M`;
    if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3)) return value.toExponential(2);
    return Number(value.toPrecision(most)).toString();
  };
  const spread = (row, key, digits) => {
    const [mean, low, high] = [row[key], row[`${key}_low`], row[`${key}_high`]];
    if (mean === null || mean === undefined) return "–";
    const half = low === null || low === undefined ? "" : ` ± ${((high - low) / 2).toFixed(digits)}`;
    return `${mean.toFixed(digits)}${half}`;
  };
  const timeOf = (row) => Object.keys(row).find((key) => key.endsWith("_ms") && `${key}_low` in row && key !== "makespan_ms");
  const nameOf = (row) => (row.tau === null || row.tau === undefined ? row.workload : `${row.workload} at τ = ${row.tau}`);

  const table = (caption, head, rows) => {
    const wide = made("div", undefined, { class: "wide", tabindex: "0", role: "region", "aria-label": caption });
    const whole = made("table");
    whole.append(made("caption", caption));
    const line = made("tr");
    head.forEach((text) => line.append(made("th", text, { scope: "col" })));
    whole.append(made("thead"));
    whole.tHead.append(line);
    const body = made("tbody");
    rows.forEach((cells) => {
      const row = made("tr");
      cells.forEach((text, at) => {
        const long = String(text).length > 32 ? { class: "long" } : {};
        row.append(at === 0 ? made("th", text, { scope: "row", ...long }) : made("td", text, long));
      });
      body.append(row);
    });
    whole.append(body);
    wide.append(whole);
    return wide;
  };

  class Setup {
    constructor(at, ask) {
      this.at = at;
      this.name = "AB"[at];
      this.started = ask;
      const copy = document.getElementById("setup").content.cloneNode(true);
      this.section = copy.querySelector("section");
      this.form = copy.querySelector("form");
      this.section.setAttribute("aria-labelledby", `setup-${this.name}`);
      copy.querySelector("h2").id = `setup-${this.name}`;
      copy.querySelector("h2").textContent = `Set-up ${this.name}`;
      this.fill();
      this.put(ask);
      this.form.addEventListener("input", (event) => this.changed(event.target.name));
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("reset", (event) => {
        event.preventDefault();
        this.put(DEFAULTS[at]);
        this.changed();
      });
      copy.querySelectorAll("[data-as]").forEach((button) => {
        button.addEventListener("click", () => this.save(button.dataset.as));
      });
      document.getElementById("setups").append(copy);
    }

    part(name) {
      return this.section.querySelector(`[data-${name}]`);
    }

    fill() {
      const add = (name, entries) => {
        const select = this.form.elements[name];
        entries.forEach(([value, text, group]) => {
          let parent = select;
          if (group) {
            parent = [...select.children].find((child) => child.label === group);
            if (!parent) select.append((parent = made("optgroup", undefined, { label: group })));
          }
          parent.append(made("option", text, { value }));
        });
      };
      add("model", choices.models.map((m) => [m.name, `${m.name}: ${m.experts} experts, top ${m.top_k}`]));
      add("cluster", choices.clusters.map((c) => [c.name, `${c.name}: ${c.gpus} GPUs`, c.gpu]));
      add("counted", choices.counted.map((w) => [w.word, w.word.replaceAll("-", " ")]));
      add("phase", [["", "as its file"], ...choices.phases.map((w) => [w.word, `${w.word}: ${w.help}`])]);
      add("library", [["", "as its file"], ...choices.libraries.map((w) => [w.word, w.word])]);
      add("overlap", [["", "as its file"], ...choices.overlaps.map((w) => [w.word, `${w.word}: ${w.help}`])]);
      add("execution", [["", "as its file"], ...choices.executions.map((w) => [w.word, `${w.word}: ${w.help}`])]);
    }

    // What a question says, put into the form; what it does not say is as the model's file has it.
    put(ask) {
      const { elements } = this.form;
      SELECTS.forEach((name) => (elements[name].value = ask[name] ?? (name === "counted" ? "moe-layer" : "")));
      elements.tau.value = ask.tau ?? 0.75;
      NUMBERS.forEach((name) => (elements[name].value = ask[name] ?? ""));
      if (ask.seeds === undefined) elements.seeds.value = 8;
      if (ask.micro_batches === undefined) elements.micro_batches.value = 1;
      elements.uncertain.checked = ask.uncertain ?? true;
      this.bandwidths(ask.bandwidth ?? {});
      this.hints();
    }

    bandwidths(factors) {
      const cluster = choices.clusters.find((own) => own.name === this.form.elements.cluster.value);
      const place = this.part("bandwidths");
      place.replaceChildren();
      (cluster?.bandwidths ?? []).forEach(({ key, value }) => {
        const words = key.replace(/\.bandwidth$/, "").replaceAll(/[._]/g, " ").replace(/^nodes /, "");
        const label = made("label", `${words} `, { class: "slider" });
        const range = made("input", undefined, { type: "range", min: "-4", max: "4", step: "0.25", "data-key": key, "data-value": value });
        range.value = Math.log2(factors[key] ?? 1);
        label.append(range, made("output"));
        place.append(label);
      });
    }

    // What stands beside sliders, and what empty fields stand for.
    hints() {
      const { elements } = this.form;
      this.form.querySelector('output[data-of="tau"]').textContent = elements.tau.value;
      elements.tau.setAttribute("aria-valuetext", `τ = ${elements.tau.value}`);
      this.form.querySelectorAll("[data-key]").forEach((range) => {
        const factor = 2 ** Number(range.value);
        const [number, unit] = range.dataset.value.split(" ");
        const told = `${figures(Number(number) * factor)} ${unit}` + (factor === 1 ? "" : `, × ${figures(factor, 3)}`);
        range.nextElementSibling.textContent = told;
        range.setAttribute("aria-valuetext", told);
      });
      const model = choices.models.find((own) => own.name === elements.model.value);
      ["tokens_per_gpu", "expert_parallel", "tensor_parallel", "pipeline_parallel"].forEach((name) => {
        elements[name].placeholder = model ? model[name] : "";
      });
    }

    ask() {
      const { elements } = this.form;
      const ask = { tau: Number(elements.tau.value), uncertain: elements.uncertain.checked };
      SELECTS.forEach((name) => elements[name].value && (ask[name] = elements[name].value));
      NUMBERS.forEach((name) => elements[name].value !== "" && (ask[name] = Number(elements[name].value)));
      const bandwidth = {};
      this.form.querySelectorAll("[data-key]").forEach((range) => {
        if (Number(range.value) !== 0) bandwidth[range.dataset.key] = 2 ** Number(range.value);
      });
      if (Object.keys(bandwidth).length > 0) ask.bandwidth = bandwidth;
      return ask;
    }

    changed(name) {
      if (name === "cluster") this.bandwidths({});
      this.hints();
      keep();
      clearTimeout(this.coarse);
      clearTimeout(this.settled);
      this.coarse = setTimeout(() => this.run(true), COARSE_AFTER);
      this.settled = setTimeout(() => this.run(false), SETTLED_AFTER);
    }

    // A newer question takes the place of this one, here and where it is answered.
    async run(coarse) {
      const turn = (this.turn = (this.turn ?? 0) + 1);
      const result = this.section.querySelector(".result");
      this.asking?.abort();
      this.asking = new AbortController();
      result.setAttribute("aria-busy", "true");
      this.part("state").textContent = coarse ? "…" : "coarse; settling …";
      try {
        const [status, told] = await answered("api/ask", { ...this.ask(), coarse }, `${this.name}-ask`, this.asking.signal);
        if (turn !== this.turn) return;
        if (status === 200) this.show(told, coarse);
        else if (status !== 409) this.refused(told.error);
      } catch {
        if (turn === this.turn) this.refused({ found: "moesim does not answer", help: "start moesim explore again" });
      }
      if (turn === this.turn && !coarse) result.setAttribute("aria-busy", "false");
    }

    refused(mistake) {
      const place = this.section.querySelector(".mistake");
      place.hidden = false;
      const key = mistake.key ? `${mistake.key}: ` : "";
      place.textContent = `${key}${mistake.found}\n${mistake.help}`;
      this.part("gain").textContent = "No answer";
      this.part("state").textContent = "";
      this.part("told").replaceChildren();
      this.moepp = undefined;
      compare();
    }

    show({ result, command, closer, drawings }, coarse) {
      this.section.querySelector(".mistake").hidden = true;
      const [vanilla, moepp] = result.results;
      const gain = this.part("gain");
      gain.textContent = `MoE++ gives ${spread(moepp, "throughput_increase_percent", 1)} % more throughput`;
      gain.dataset.coarse = coarse;
      this.section.dataset.gain = moepp.throughput_increase_percent;
      const range = moepp.throughput_increase_percent_p05;
      const predicted = range === null || range === undefined ? "" :
        `; 90 % of draws of calibration error lie between ${range.toFixed(1)} and ${moepp.throughput_increase_percent_p95.toFixed(1)} %`;
      this.part("state").textContent = coarse
        ? "coarse: MoE layers of one micro-batch, one seed"
        : `${result.counted.replaceAll("-", " ")}, ${result.seeds} seeds${predicted}`;
      if (coarse) return;
      this.moepp = moepp;
      this.vanilla = vanilla;
      this.part("told").replaceChildren(...this.told(result, [command, ...closer], drawings));
      this.section.dataset.settled = this.turn;
      compare();
    }

    told(result, commands, drawings) {
      const parts = [];
      const add = (heading, ...blocks) => parts.push(made("h3", heading), ...blocks);
      const key = timeOf(result.results[0]);
      const rows = result.results.map((row) => [
        nameOf(row), spread(row, key, 3), spread(row, "throughput_increase_percent", 1),
        figures(row.tokens_per_s), row.ffn_share.toFixed(3),
      ]);
      add("Times", table("Mean over seeds, ± 95 % interval", ["workload", "ms", "gain, %", "tokens/s", "FFN share"], rows));
      const doubts = [...result.does_not_fit.map((line) => `Does not fit into memory: ${line}`), ...result.cautions, ...(result.idle ?? [])];
      if (doubts.length > 0) {
        const list = made("ul");
        doubts.forEach((line) => list.append(made("li", line)));
        add("Take care", list);
      }
      const pictures = made("div");
      // Made by moesim, every text of it escaped.
      pictures.innerHTML = drawings.join("");
      add("Where the time goes, and over which links", pictures);
      const links = result.results.flatMap((row) => row.link_use.map((link) => [row, link]));
      links.sort((a, b) => b[1].max_share - a[1].max_share);
      if (links.length > 0) {
        const lines = links.slice(0, 6).map(([row, link]) => [
          link.busiest, `${link.class} ${link.from} → ${link.to}`, nameOf(row), figures(link.gb_per_s_each), `${(100 * link.max_share).toFixed(1)} %`,
        ]);
        add("Busiest links", table("Share of the bandwidth that is used", ["link", "kind", "workload", "GB/s", "used"], lines));
      }
      const memory = result.results.map((row) => [
        nameOf(row), (row.memory.total_bytes / 1e9).toFixed(1),
        row.memory.capacity_bytes ? (row.memory.capacity_bytes / 1e9).toFixed(1) : "–",
        row.memory.fits === null ? "not known" : row.memory.fits ? "yes" : "no",
      ]);
      add("Memory of the fullest GPU", table("In GB", ["workload", "used", "of", "fits"], memory));
      const moepp = result.results[1] ?? result.results[0];
      const bases = [...moepp.stands_on].sort((a, b) => b.share - a.share).slice(0, 8).map((basis) => [
        basis.name, basis.part, [basis.support, basis.detail].filter(Boolean).join(": "), `${(100 * basis.share).toFixed(1)} %`,
      ]);
      add("What it stands on", table("How near each is to what was measured", ["kernel or library", "part", "support", "share"], bases));
      const codes = commands.map((command) => {
        const code = made("pre", undefined, { tabindex: "0" });
        code.append(made("code", command));
        return code;
      });
      add("In a terminal", made("p", "The same, its timeline for ui.perfetto.dev, and why it comes out so, beside the files that TOML saves:"), ...codes);
      return parts;
    }

    async save(kind) {
      say("making it …");
      try {
        const [status, told] = await answered(`api/export/${kind}`, this.ask(), `${this.name}-export`);
        if (status !== 200) return say(told.error.found);
        told.files.forEach(([name, text]) => {
          const link = made("a", undefined, { download: name });
          link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
          link.click();
          URL.revokeObjectURL(link.href);
        });
        say(`saved ${told.files.map(([name]) => name).join(", ")}`);
      } catch {
        say("moesim does not answer");
      }
    }
  }

  const setups = [];
  // The state of the page stands in its address, behind the #, which no server sees.
  const keep = () => {
    const state = new URLSearchParams();
    setups.forEach((setup) => state.set(setup.name.toLowerCase(), JSON.stringify(setup.ask())));
    history.replaceState(null, "", `#${state}`);
  };
  const compare = () => {
    const [a, b] = setups;
    const ready = a?.moepp && b?.moepp;
    document.querySelector(".both").hidden = !b;
    if (!b) return;
    const said = document.getElementById("both");
    if (!ready) return void (said.textContent = "…");
    const ratio = b.moepp.tokens_per_s / a.moepp.tokens_per_s;
    const points = b.moepp.throughput_increase_percent - a.moepp.throughput_increase_percent;
    said.textContent = `B gives ${figures(ratio, 3)} × the tokens/s of A with MoE++; its gain is ${Math.abs(points).toFixed(1)} points ${points < 0 ? "smaller" : "larger"}.`;
  };
  const start = (at, ask) => {
    setups.push(new Setup(at, ask));
    const several = setups.length > 1;
    document.body.classList.toggle("two", several);
    document.getElementById("two").setAttribute("aria-pressed", several);
    setups[at].run(false);
  };
  const asked = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    return ["a", "b"].map((name, at) => {
      try {
        return state.has(name) ? { ...DEFAULTS[at], ...JSON.parse(state.get(name)) } : undefined;
      } catch {
        return undefined;
      }
    });
  };
  document.getElementById("two").addEventListener("click", () => {
    if (setups.length === 1) start(1, { ...setups[0].ask(), cluster: DEFAULTS[1].cluster, bandwidth: {} });
    else {
      setups.pop().section.remove();
      document.body.classList.remove("two");
      document.getElementById("two").setAttribute("aria-pressed", "false");
    }
    keep();
    compare();
  });
  document.getElementById("link").addEventListener("click", async () => {
    keep();
    try {
      await navigator.clipboard.writeText(location.href);
      say("copied");
    } catch {
      say("copy it from the address bar");
    }
  });
  const [a, b] = asked();
  start(0, a ?? DEFAULTS[0]);
  if (b) start(1, b);
  keep();
})();
