// Health: a dot for the live stream and for each server behind the gateway.

import { ROOT } from "./api.js";
import { h, say } from "./dom.js";

const EVERY_MS = 15_000;
const SLOW_MS = 500;
const NAMES = { live: "Live", gateway: "Gateway", index: "Index", blobs: "Store", broker: "Broker" };

const ORDER = Object.keys(NAMES);

/** Dots in `list`; asks `/readyz` while somebody looks. */
export class Health {
  #list;
  #dots = new Map();

  constructor(list) {
    this.#list = list;
  }

  start() {
    this.#ask();
    setInterval(() => document.visibilityState === "visible" && this.#ask(), EVERY_MS);
    for (const event of ["online", "offline"]) window.addEventListener(event, () => this.#ask());
  }

  /** What the feed says of the stream: live, connecting or offline. */
  live(state) {
    const words = { live: "changes arrive as they happen", connecting: "connecting", offline: "offline" };
    this.#show("live", { live: "good", connecting: "slow", offline: "bad" }[state], words[state]);
    if (state === "live") this.#ask();
  }

  async #ask() {
    try {
      const answer = await fetch(new URL("readyz", ROOT), { cache: "no-store", credentials: "omit" });
      const { dependencies = {} } = await answer.json();
      this.#show("gateway", "good", "answers");
      for (const [name, { ok, ms }] of Object.entries(dependencies)) {
        this.#show(name, !ok ? "bad" : ms > SLOW_MS ? "slow" : "good", ok ? `answers in ${ms} ms` : "does not answer");
      }
    } catch {
      this.#show("gateway", "bad", "cannot be reached");
      for (const name of this.#dots.keys()) if (name !== "gateway" && name !== "live") this.#show(name, "unknown", "not known while the gateway cannot be reached");
    }
  }

  #show(name, state, words) {
    let dot = this.#dots.get(name);
    if (!dot) {
      const text = h("span", { class: "unseen" });
      const element = h("li", {}, h("i"), h("span", {}, NAMES[name] ?? name), text);
      dot = { element, text };
      this.#dots.set(name, dot);
      this.#list.append(...ORDER.map((one) => this.#dots.get(one)?.element).filter(Boolean));
    }
    dot.element.dataset.state = state;
    dot.element.title = words;
    say(dot.text, `: ${words}`);
  }
}
