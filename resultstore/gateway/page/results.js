// Results: all Results that the page knows, the newest first; tells of changes once a frame.

import { ended } from "./describe.js";

const SETTLED_SECONDS = 5;

/** Dispatches "change" with `detail` {ids: Set, order: whether some came or went}. */
export class Results extends EventTarget {
  /** Whether the server has more than the page. */
  partial = false;
  #byId = new Map();
  #hidden = new Set();
  #sorted = null;
  #dirty = new Set();
  #moved = false;
  #due = false;

  get(id) {
    return this.#byId.get(id);
  }

  /** Every Result that is not hidden, the newest first. */
  all() {
    this.#sorted ??= [...this.#byId.values()]
      .filter((view) => !this.#hidden.has(view.id))
      .sort((a, b) => (b.created_at ?? 0) - (a.created_at ?? 0) || (a.id < b.id ? 1 : -1));
    return this.#sorted;
  }

  /** Take what the server says, unless something newer is known. Events and lists may overtake each other. */
  put(view) {
    const known = this.#byId.get(view.id);
    const newer = known && older(view, known) ? known : view;
    // What a record does not hold is still true: which file it was, what it retry_finder.
    const kept = { upload: view.upload ?? known?.upload ?? null, retry_of: view.retry_of ?? known?.retry_of ?? null, sending: known?.sending };
    this.#byId.set(view.id, { ...newer, ...kept });
    this.#touch(view.id, !known || known.created_at !== newer.created_at);
  }

  /** Progress alone. */
  change({ id, state, progress, changed_at }) {
    const known = this.#byId.get(id);
    if (!known || ended(known) || (changed_at ?? 0) < (known.changed_at ?? 0)) return;
    this.#byId.set(id, { ...known, state, progress, changed_at });
    this.#touch(id, false);
  }

  /** What this page itself sends of an upload, beside what the server says; null when it is over. */
  sending(id, sending) {
    const known = this.#byId.get(id);
    if (!known) return;
    this.#byId.set(id, { ...known, sending });
    this.#touch(id, false);
  }

  remove(id) {
    this.#hidden.delete(id);
    if (this.#byId.delete(id)) this.#touch(id, true);
  }

  /** Leave it out until it is removed or shown again. */
  hide(id) {
    this.#hidden.add(id);
    this.#touch(id, true);
  }

  show(id) {
    if (this.#hidden.delete(id)) this.#touch(id, true);
  }

  clear() {
    for (const id of [...this.#byId.keys()]) this.remove(id);
  }

  /**
   * Take a list of the newest: what is missing in it was deleted meanwhile.
   *
   * Only as far back as the list goes (`whole`: to the end), only where the server knows of all (`complete`: not after
   * it has lost its index), and only what is settled: a Result that was started while the list was under way is not
   * missing. That is told by the server's clock, as the list shows it; this machine's may be wrong.
   */
  settle(views, { whole, complete }) {
    const listed = new Set(views.map((view) => view.id));
    const oldest = Math.min(...views.map((view) => view.created_at ?? Infinity));
    const now = Math.max(...views.map((view) => view.changed_at ?? 0));
    for (const view of complete ? this.#byId.values() : []) {
      const covered = whole || (view.created_at ?? 0) > oldest;
      const settled = !views.length || (view.changed_at ?? view.created_at ?? 0) < now - SETTLED_SECONDS;
      if (covered && settled && !view.sending && !listed.has(view.id)) this.remove(view.id);
    }
    for (const view of views) this.put(view);
  }

  #touch(id, moved) {
    this.#dirty.add(id);
    this.#moved ||= moved;
    if (moved) this.#sorted = null;
    if (!moved && this.#sorted) {
      const at = this.#sorted.findIndex((view) => view.id === id);
      if (at >= 0) this.#sorted[at] = this.#byId.get(id);
    }
    if (this.#due) return;
    this.#due = true;
    // A hidden page gets no frames, and must still know what happened when somebody looks.
    if (document.visibilityState === "visible") requestAnimationFrame(() => this.#tell());
    else setTimeout(() => this.#tell(), 250);
  }

  #tell() {
    const detail = { ids: this.#dirty, order: this.#moved };
    this.#dirty = new Set();
    this.#moved = false;
    this.#due = false;
    this.dispatchEvent(new CustomEvent("change", { detail }));
  }
}

function older(view, known) {
  if (ended(known) && !ended(view)) return true; // an id has one outcome
  return (view.changed_at ?? 0) < (known.changed_at ?? 0);
}
