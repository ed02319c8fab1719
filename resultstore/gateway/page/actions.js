// Actions: download Results, copy a link, run again, cancel and delete it.

import { ROOT, idempotencyKey, resultPath } from "./api.js";
import { mainOf, nameOf } from "./describe.js";
import { h } from "./dom.js";
import { moment } from "./format.js";

/** The actions of the buttons; every error is shown as a toast, none is thrown. */
export class Actions {
  #api;
  #links;
  #results;
  #toasts;
  #pending = new Map();

  constructor({ api, links, results, toasts }) {
    this.#api = api;
    this.#links = links;
    this.#results = results;
    this.#toasts = toasts;
    window.addEventListener("pagehide", () => this.#pending.forEach((path) => api.delete(path, { keepalive: true }).catch(() => {})));
  }

  /** Download the main Artifact, or the given one, with a new link. */
  download = (view, artifact = mainOf(view)) => this.#showErrors(async () => {
    const { url } = await this.#links.fresh(artifact);
    save(url);
  });

  copy = (view, artifact = mainOf(view)) => this.#showErrors(async () => {
    const link = await this.#links.fresh(artifact);
    await navigator.clipboard.writeText(link.url);
    this.#toasts.show(`Link copied. It is valid until ${moment(link.expires_at)}.`);
  });

  /** Copy a text of the page. */
  copyText = (text, what) => this.#showErrors(async () => {
    await navigator.clipboard.writeText(text);
    this.#toasts.show(`${what} copied.`);
  });

  /** Download the files of several Results as one ZIP. */
  archive = (ids) => this.#showErrors(async () => {
    const { url } = await this.#api.post("v1/archives", { results: ids });
    save(new URL(url, ROOT).href);
  });

  retry = (view) => this.#showErrors(async () => {
    try {
      this.#results.put(await this.#api.post(resultPath(view.id, "retry"), {}, { key: idempotencyKey() }));
    } catch (error) {
      if (error.slug !== "not-repeatable") throw error;
      this.#results.put(await this.#api.get(resultPath(view.id))); // the button goes away
      this.#toasts.show(`${nameOf(view)} cannot run again, because the uploaded file was deleted. Upload it again.`, { bad: true });
      return;
    }
    this.#toasts.show(`${nameOf(view)} runs again, as a new result.`);
  });

  cancel = (view) => this.#showErrors(async () => {
    this.#results.put(await this.#api.post(resultPath(view.id, "cancel")));
    this.#toasts.show(`${nameOf(view)} is being cancelled.`);
  });

  /** Called with the id of a Result that is shown again. */
  restored = () => {};

  /** Hide it at once; delete it unless the user chooses "Undo". */
  remove = (view) => this.#showErrors(async () => {
    const unfinished = view.state === "UPLOADING" || view.state === "VERIFYING";
    const path = unfinished ? `v1/uploads/${encodeURIComponent(view.id)}` : resultPath(view.id);
    this.#results.hide(view.id);
    this.#pending.set(view.id, path);
    const undone = await this.#toasts.show(`${nameOf(view)} ${unfinished ? "discarded" : "deleted"}.`, { undo: "Undo" });
    this.#pending.delete(view.id);
    if (undone) {
      this.#results.show(view.id);
      this.restored(view.id);
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

  async #showErrors(work) {
    try {
      await work();
    } catch (error) {
      this.#toasts.show(sentence(error.message), { bad: true });
    }
  }
}

/** Save what a URL leads to, as a file. */
function save(url) {
  const anchor = h("a", { href: url, download: "", rel: "noreferrer", hidden: true });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

const ID = /(?: under the id| of)? ['"]?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}['"]?/gi;

/** An error message as a sentence, with a capital and a full stop, without ids: users cannot do anything with them. */
export function sentence(message) {
  const text = String(message || "something went wrong").replace(ID, "").trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
