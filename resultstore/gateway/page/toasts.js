// Toasts: short words about what was done, with a way back; and the quiet voice for who cannot see the page.

import { h, iconButton, say } from "./dom.js";

const STAYS_SECONDS = 6;
const SPEAKS_EVERY_MS = 1200;

/** Words at the edge of the page, and in `announcer` (aria-live). */
export class Toasts {
  #place;
  #announcer;
  #words = [];
  #speaking = 0;

  constructor(place, announcer) {
    this.#place = place;
    this.#announcer = announcer;
  }

  /**
   * Show `text`; gives a promise of whether it was taken back by its button.
   *
   * It waits while it has the pointer or the keyboard: who reads slowly can still press.
   */
  show(text, { bad = false, undo = "" } = {}) {
    return new Promise((resolve) => {
      const close = (taken) => {
        clearTimeout(timer);
        toast.remove();
        resolve(taken);
      };
      const toast = h("div", { class: bad ? "toast bad" : "toast" }, h("p", {}, text),
        undo && h("button", { type: "button", class: "text-button", on: { click: () => close(true) } }, undo),
        iconButton("close", "Close this message", () => close(false)));
      let timer = null;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => close(false), STAYS_SECONDS * 1000);
      };
      for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, () => clearTimeout(timer));
      for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, wait);
      window.addEventListener("pagehide", () => close(false), { once: true });
      // A dialog covers all that lies outside of it.
      (document.querySelector("dialog[open]") ?? document.body).append(this.#place);
      this.#place.append(toast);
      wait();
    });
  }

  /** Say something to a screen reader; of many things at once the latest few. */
  announce(text) {
    this.#words = [...this.#words, text].slice(-3);
    if (this.#speaking) return;
    this.#speaking = setTimeout(() => {
      this.#speaking = 0;
      say(this.#announcer, this.#words.join(". "));
      this.#words = [];
    }, SPEAKS_EVERY_MS);
  }
}
