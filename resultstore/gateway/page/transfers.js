// Transfers: the running uploads, a few at a time, each with a row: progress, rate, and pause, resume and cancel.

import { h, iconButton, say } from "./dom.js";
import { count, size, span } from "./format.js";
import { Transfer } from "./transfer.js";

const FILES_AT_ONCE = 2;
const STAYS_MS = 1500;
const PREVIEW = /^image\/(png|jpeg|gif|webp|avif)$/;

/** Rows in `places` {section, list, sum}; the progress is also stored in `results`. */
export class Transfers {
  #api;
  #results;
  #places;
  #toasts;
  #running = [];
  #rows = new Map();
  limits = {};

  constructor({ api, results, toasts }, places) {
    this.#api = api;
    this.#results = results;
    this.#toasts = toasts;
    this.#places = places;
    window.addEventListener("beforeunload", (event) => this.#running.some((one) => !one.over) && event.preventDefault());
  }

  /** Upload `file` for `order` {task, options}. */
  add(file, order) {
    this.#take(new Transfer(this.#api, file, { order, limits: this.limits }));
  }

  /** Resume an upload that an earlier page started, with the same file. */
  resume(id, file) {
    this.#take(new Transfer(this.#api, file, { id, limits: this.limits }));
  }

  /** Whether this page is sending that upload. */
  has(id) {
    return this.#running.some((one) => one.id === id && !one.over);
  }

  #take(transfer) {
    const picture = PREVIEW.test(transfer.file.type) ? URL.createObjectURL(transfer.file) : "";
    this.#running.push(transfer);
    this.#addRow(transfer);
    let due = false;
    transfer.addEventListener("change", () => {
      if (due) return;
      due = true;
      setTimeout(() => {
        due = false;
        this.#changed(transfer, picture);
      }, transfer.over ? 0 : 100);
    });
    this.#next();
    this.#changed(transfer, picture);
  }

  #next() {
    const busy = this.#running.filter((one) => !one.over && !["queued", "paused"].includes(one.state)).length;
    this.#running.filter((one) => one.state === "queued").slice(0, Math.max(0, FILES_AT_ONCE - busy)).forEach((one) => one.start());
  }

  #changed(transfer, picture) {
    this.#showRow(transfer);
    if (transfer.id) {
      const sends = !transfer.over && transfer.state !== "finishing";
      this.#results.sending(transfer.id, { percent: sends ? transfer.percent : null, picture });
    }
    if (transfer.over) this.#ended(transfer);
    this.#next();
    this.#showSum();
  }

  #ended(transfer) {
    if (transfer.state === "failed") {
      this.#toasts.announce(`${transfer.file.name}: upload failed, ${transfer.error}`);
      return; // its row stays, with a retry button
    }
    if (!this.#running.includes(transfer)) return;
    this.#running = this.#running.filter((one) => one !== transfer);
    if (transfer.view) this.#results.put(transfer.view);
    if (transfer.state === "done") this.#toasts.announce(`${transfer.file.name}: uploaded`);
    if (transfer.state === "cancelled" && transfer.id) this.#results.remove(transfer.id);
    setTimeout(() => this.#removeRow(transfer), transfer.state === "done" ? STAYS_MS : 0);
  }

  #addRow(transfer) {
    const name = h("p", { class: "row-name", title: transfer.file.name }, transfer.file.name);
    const facts = h("p", { class: "row-facts digits" });
    const bar = h("div", { class: "bar wide", role: "progressbar", "aria-label": `Upload of ${transfer.file.name}`, "aria-valuemin": "0", "aria-valuemax": "100" });
    const go = iconButton("pause", `Pause ${transfer.file.name}`, () => (transfer.state === "paused" || transfer.state === "failed" ? transfer.start() : transfer.pause()), { shown: "Pause" });
    const end = iconButton("close", `Cancel the upload of ${transfer.file.name}`, () => transfer.cancel().then(() => this.#drop(transfer)), { shown: "Cancel" });
    const element = h("li", { class: "row" }, h("div", { class: "row-words" }, name, facts), bar, h("div", { class: "row-buttons" }, go, end));
    this.#rows.set(transfer, { element, facts, bar, go, shown: "pause" });
    this.#places.list.append(element);
  }

  #drop(transfer) {
    this.#running = this.#running.filter((one) => one !== transfer);
    this.#removeRow(transfer);
    this.#showSum();
  }

  #showRow(transfer) {
    const row = this.#rows.get(transfer);
    if (!row) return;
    row.element.dataset.state = transfer.state;
    say(row.facts, factsOf(transfer));
    row.bar.style.setProperty("--part", `${transfer.percent}%`);
    row.bar.setAttribute("aria-valuenow", String(Math.floor(transfer.percent)));
    const stopped = transfer.state === "paused" || transfer.state === "failed";
    const wanted = stopped ? "play" : "pause";
    row.go.hidden = transfer.state === "finishing" || transfer.state === "done";
    if (row.shown === wanted) return;
    row.shown = wanted;
    const verb = transfer.state === "failed" ? "Retry" : stopped ? "Resume" : "Pause";
    const label = `${verb} ${transfer.file.name}`;
    row.go.replaceChildren(...iconButton(wanted, label, () => {}, { shown: verb }).childNodes);
    row.go.setAttribute("aria-label", label);
    row.go.title = label;
  }

  #removeRow(transfer) {
    const row = this.#rows.get(transfer);
    const lost = row?.element.contains(document.activeElement);
    row?.element.remove();
    this.#rows.delete(transfer);
    this.#showSum();
    if (lost) (this.#places.list.querySelector("button") ?? document.getElementById("choose")).focus();
  }

  #showSum() {
    this.#places.section.hidden = this.#rows.size === 0;
    const open = this.#running.filter((one) => !one.over);
    const rate = open.reduce((sum, one) => sum + one.rate, 0);
    const words = open.length ? `${count(open.length, "file")}${rate ? `, ${size(rate)}/s` : ""}` : "";
    say(this.#places.sum, words);
  }
}

function factsOf(transfer) {
  const done = `${size(transfer.sentBytes)} of ${size(transfer.file.size)}`;
  const rate = transfer.rate ? `${size(transfer.rate)}/s` : "";
  const togo = transfer.leftSeconds !== null && Number.isFinite(transfer.leftSeconds) ? `${span(Math.max(1, transfer.leftSeconds))} left` : "";
  return {
    queued: `${size(transfer.file.size)} · queued`,
    asking: `${size(transfer.file.size)} · preparing`,
    sending: [done, rate, togo].filter(Boolean).join(" · "),
    waiting: navigator.onLine ? `${done} · connection lost, retrying` : `${done} · offline, resumes automatically`,
    paused: `${done} · paused`,
    finishing: `${size(transfer.file.size)} · uploaded, checking`,
    done: `${size(transfer.file.size)} · uploaded`,
    failed: transfer.error,
    cancelled: "cancelled",
  }[transfer.state];
}
