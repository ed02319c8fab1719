// Selection: the Results that are selected for a download as one ZIP, and the bar that says how many.

import { filesOf } from "./describe.js";
import { h, icon, say } from "./dom.js";
import { count, size } from "./format.js";

const MOST = 500; // Results of one ZIP, as the gateway allows

/** Dispatches "change" with `detail` {ids}. Shows `bar` while something is selected. */
export class Selection extends EventTarget {
  #ids = new Set();
  #bar;
  #results;
  #sum;

  /** `tools` are {archive, shown}: downloads the given ids; returns the ids of the shown Results. */
  constructor(bar, results, { archive, shown }) {
    super();
    this.#bar = bar;
    this.#results = results;
    this.#sum = h("p", { role: "status" });
    const button = (label, more, ...content) => h("button", { type: "button", class: "button", ...more }, ...content, label);
    bar.append(this.#sum,
      button("Select all", { on: { click: () => this.#change(shown(), true) } }),
      button("Download as ZIP", { class: "button primary", on: { click: () => archive([...this.#ids]) } }, icon("archive")),
      button("Clear", { on: { click: () => this.#change([...this.#ids], false) } }));
    results.addEventListener("change", ({ detail }) => this.#forget([...detail.ids]));
  }

  has(id) {
    return this.#ids.has(id);
  }

  set(id, selected) {
    this.#change([id], selected);
  }

  /** Results that were deleted or hidden are not selected any more. */
  #forget(ids) {
    const gone = ids.filter((id) => this.#ids.has(id) && !this.#results.shows(id));
    if (gone.length) this.#change(gone, false);
  }

  #change(ids, selected) {
    for (const id of ids) {
      if (!selected) this.#ids.delete(id);
      else if (this.#ids.size < MOST && filesOf(this.#results.get(id)).length) this.#ids.add(id);
    }
    const files = [...this.#ids].flatMap((id) => filesOf(this.#results.get(id) ?? {}));
    this.#bar.hidden = this.#ids.size === 0;
    const total = size(files.reduce((sum, one) => sum + one.size_bytes, 0));
    say(this.#sum, this.#ids.size ? `${count(this.#ids.size, "result")} selected: ${count(files.length, "file")}, ${total}` : "");
    this.dispatchEvent(new CustomEvent("change", { detail: { ids } }));
  }
}
