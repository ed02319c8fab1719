// Actions: what people do with a Result: download, copy its link, run again, cancel, delete.

import { idempotencyKey, resultPath } from "./api.js";
import { inputOf, mainOf, nameOf } from "./describe.js";
import { h } from "./dom.js";
import { moment } from "./format.js";

/** The buttons' deeds; every failure is told, none is thrown. */
export class Actions {
  #api;
  #links;
  #results;
  #toasts;
  #leaving = new Map();

  constructor({ api, links, results, toasts }) {
    this.#api = api;
    this.#links = links;
    this.#results = results;
    this.#toasts = toasts;
    window.addEventListener("pagehide", () => this.#leaving.forEach((path) => api.delete(path, { keepalive: true }).catch(() => {})));
  }

  /** Save the main Artifact, or the one that is named, by a link made this moment. */
  download = (view, artifact = mainOf(view)) => this.#told(async () => {
    const { url } = await this.#links.fresh(artifact);
    const anchor = h("a", { href: url, download: "", rel: "noreferrer", hidden: true });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
  });

  copy = (view, artifact = mainOf(view)) => this.#told(async () => {
    const link = await this.#links.fresh(artifact);
    await navigator.clipboard.writeText(link.url);
    this.#toasts.show(`Link copied. It works until ${moment(link.expires_at)}.`);
  });

  /** Copy some words of the page. */
  copyText = (text, what) => this.#told(async () => {
    await navigator.clipboard.writeText(text);
    this.#toasts.show(`${what} copied.`);
  });

  retry = (view) => this.#told(async () => {
    const made = await this.#api.post(resultPath(view.id, "retry"), {}, { key: idempotencyKey() });
    // Of work that runs again the gateway knows no upload: it is called what it was called.
    const source = view.upload ?? inputOf(view);
    this.#results.put({ ...made, upload: made.upload ?? (source && { ...source, name: nameOf(view) }) });
    this.#toasts.show(`${nameOf(view)} runs again.`);
  });

  cancel = (view) => this.#told(async () => {
    this.#results.put(await this.#api.post(resultPath(view.id, "cancel")));
    this.#toasts.show(`${nameOf(view)} is being cancelled.`);
  });

  /** Hide it at once; delete it when nobody has taken that back. */
  remove = (view) => this.#told(async () => {
    const unfinished = view.state === "UPLOADING" || view.state === "VERIFYING";
    const path = unfinished ? `v1/uploads/${encodeURIComponent(view.id)}` : resultPath(view.id);
    this.#results.hide(view.id);
    this.#leaving.set(view.id, path);
    const back = await this.#toasts.show(`${nameOf(view)} deleted.`, { undo: "Undo" });
    this.#leaving.delete(view.id);
    if (back) {
      this.#results.show(view.id);
      return;
    }
    try {
      await this.#api.delete(path);
      this.#results.remove(view.id);
    } catch (error) {
      if (error.status === 404) this.#results.remove(view.id);
      else this.#results.show(view.id);
      if (error.status !== 404) throw error;
    }
  });

  async #told(work) {
    try {
      await work();
    } catch (error) {
      this.#toasts.show(sentence(error.message), { bad: true });
    }
  }
}

/** An error's words with a capital and a full stop. */
export function sentence(words) {
  const text = String(words || "something went wrong").trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
