// Rate: the growth per second of a total, over the last seconds.

const WINDOW_MS = 4000;

/** Averages over a sliding window, so that a slow start or a stall is forgotten. */
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
