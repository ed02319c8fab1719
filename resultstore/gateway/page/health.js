// Health: a status dot for the event stream, the gateway and each server that it needs.

import { ROOT } from "./api.js";
import { h, say } from "./dom.js";

const EVERY_MS = 15_000;
const SLOW_MS = 500;
const NAMES = { live: "Live updates", gateway: "Server", index: "Results", blobs: "Files", broker: "Tasks" };

const ORDER = Object.keys(NAMES);

/** Status dots in `list`; polls `/readyz` while the page is visible. */
export class Health {
  #list;
  #dots = new Map();

  constructor(list) {
    this.#list = list;
  }

  start() {
    this.#poll();
    setInterval(() => document.visibilityState === "visible" && this.#poll(), EVERY_MS);
    for (const event of ["online", "offline"]) window.addEventListener(event, () => this.#poll());
  }

  /** Show the state of the event stream: live, connecting, lost or offline. */
  live(state) {
    const texts = { live: "connected", connecting: "connecting", lost: "the server does not answer", offline: "offline" };
    this.#show("live", { live: "good", connecting: "slow", lost: "bad", offline: "bad" }[state], texts[state]);
    if (state === "live" || state === "lost") this.#poll();
  }

  async #poll() {
    try {
      const response = await fetch(new URL("readyz", ROOT), { cache: "no-store", credentials: "omit" });
      const { dependencies = {} } = await response.json();
      this.#show("gateway", "good", "reachable");
      for (const [name, { ok, ms }] of Object.entries(dependencies)) {
        this.#show(name, !ok ? "bad" : ms > SLOW_MS ? "slow" : "good", ok ? `responds in ${ms} ms` : "not responding");
      }
    } catch {
      this.#show("gateway", "bad", "cannot be reached");
      for (const name of this.#dots.keys()) if (name !== "gateway" && name !== "live") this.#show(name, "unknown", "unknown while the server cannot be reached");
    }
  }

  #show(name, state, message) {
    let dot = this.#dots.get(name);
    if (!dot) {
      const text = h("span", { class: "unseen" });
      const element = h("li", {}, h("i"), h("span", {}, NAMES[name] ?? name), text);
      dot = { element, text };
      this.#dots.set(name, dot);
      this.#list.append(...ORDER.map((one) => this.#dots.get(one)?.element).filter(Boolean));
    }
    dot.element.dataset.state = state;
    dot.element.title = message;
    say(dot.text, `: ${message}`);
  }
}
