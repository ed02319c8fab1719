// Rate: how fast something grows, over its last seconds.

const WINDOW_MS = 4000;

/** Noted totals; what a slow start or a stall did falls out of the window. */
export class Rate {
  #notes = [];

  note(total) {
    const now = performance.now();
    this.#notes.push({ now, total });
    while (this.#notes.length > 2 && now - this.#notes[0].now > WINDOW_MS) this.#notes.shift();
  }

  get perSecond() {
    const first = this.#notes[0];
    const last = this.#notes.at(-1);
    const seconds = last ? (last.now - first.now) / 1000 : 0;
    return seconds > 0.2 ? Math.max(0, (last.total - first.total) / seconds) : 0;
  }
}
