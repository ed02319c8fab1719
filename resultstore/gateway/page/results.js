// Results: all Results that the page knows, newest first; reports changes once per animation frame.

import { ended } from "./describe.js";

const SETTLED_SECONDS = 5;

/** Dispatches "change" with `detail` {ids: Set, order: whether some were added, removed or reordered}. */
export class Results extends EventTarget {
  /** Whether the server has more Results than the page. */
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

  /** Every Result that is not hidden, newest first; one without a time has just begun. */
  all() {
    this.#sorted ??= [...this.#byId.values()]
      .filter((view) => !this.#hidden.has(view.id))
      .sort((a, b) => (b.created_at ?? Infinity) - (a.created_at ?? Infinity) || (a.id < b.id ? 1 : -1));
    return this.#sorted;
  }

  /** Store a view of the server, unless a newer one is known: events and lists may arrive out of order. */
  put(view) {
    const known = this.#byId.get(view.id);
    const newer = known && older(view, known) ? known : view;
    // Some views lack the time, the upload and `retry_of`: keep the known values.
    const kept = { created_at: newer.created_at ?? view.created_at ?? known?.created_at ?? null, upload: view.upload ?? known?.upload ?? null, retry_of: view.retry_of ?? known?.retry_of ?? null, sending: known?.sending };
    this.#byId.set(view.id, { ...newer, ...kept });
    this.#touch(view.id, !known || known.created_at !== kept.created_at);
  }

  /** Store a change of progress. */
  change({ id, state, progress, changed_at }) {
    const known = this.#byId.get(id);
    if (!known || ended(known) || (changed_at ?? 0) < (known.changed_at ?? 0)) return;
    this.#byId.set(id, { ...known, state, progress, changed_at });
    this.#touch(id, false);
  }

  /** Store the progress of an upload by this page; null when it has ended. */
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

  /** Hide a Result until it is removed or shown again. */
  hide(id) {
    this.#hidden.add(id);
    this.#touch(id, true);
  }

  /** Whether a Result is known and not hidden. */
  shows(id) {
    return this.#byId.has(id) && !this.#hidden.has(id);
  }

  show(id) {
    if (this.#hidden.delete(id)) this.#touch(id, true);
  }

  clear() {
    for (const id of [...this.#byId.keys()]) this.remove(id);
  }

  /**
   * Store a list of the newest Results, and remove known Results that it lacks: they were deleted.
   *
   * This applies only to the range of the list (`whole`: to the end) and only if the server knows all Results
   * (`complete`: false after a loss of its index). A Result that changed within the last seconds may be newer than the
   * list and stays; the time is the server's, from the list, since the local clock may be wrong.
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
    // A hidden page gets no animation frames, but must be up to date when it is shown.
    if (document.visibilityState === "visible") requestAnimationFrame(() => this.#report());
    else setTimeout(() => this.#report(), 250);
  }

  #report() {
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
