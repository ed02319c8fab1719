// Toasts: short messages with an optional undo button, and announcements for screen readers.

import { h, iconButton, say } from "./dom.js";

const STAYS_SECONDS = 6;
const ANNOUNCE_EVERY_MS = 1200;

/** Messages at the edge of the page, and in `announcer` (aria-live). */
export class Toasts {
  #place;
  #announcer;
  #messages = [];
  #timer = 0;

  constructor(place, announcer) {
    this.#place = place;
    this.#announcer = announcer;
    // A closed dialog hides or drops what is in it. "close" does not bubble.
    document.addEventListener("close", () => this.#rise(), true);
  }

  /** Move the messages above the page: an open dialog covers everything outside of it. */
  #rise() {
    const above = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    if (this.#place.parentElement !== above) above.append(this.#place);
  }

  /**
   * Show `text`; resolves with true if the user pressed the undo button.
   *
   * It stays while it has the pointer or the keyboard focus.
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
        iconButton("close", "Dismiss", () => close(false)));
      let timer = null;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(() => close(false), STAYS_SECONDS * 1000);
      };
      for (const event of ["pointerenter", "focusin"]) toast.addEventListener(event, () => clearTimeout(timer));
      for (const event of ["pointerleave", "focusout"]) toast.addEventListener(event, wait);
      window.addEventListener("pagehide", () => close(false), { once: true });
      this.#rise();
      this.#place.append(toast);
      wait();
    });
  }

  /** Announce a text to screen readers; of many at once, only the latest few. */
  announce(text) {
    this.#messages = [...this.#messages, text].slice(-3);
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      say(this.#announcer, this.#messages.join(". "));
      this.#messages = [];
    }, ANNOUNCE_EVERY_MS);
  }
}
