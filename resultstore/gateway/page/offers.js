// Offers: the tasks that the gateway offers, and the file types that they accept.

import { formOf } from "./forms.js";

/** The offers of a session. */
export class Offers {
  #all = [];

  take(offers) {
    this.#all = offers ?? [];
  }

  /** The title of a task, or "" if it is not offered. */
  title = (task) => this.#all.find((one) => one.task === task)?.title ?? "";

  /** The tasks that start without a file. */
  get free() {
    return this.#all.filter((one) => one.takes.length === 0);
  }

  /** The accepted file types, such as "images, tables and videos". */
  get kinds() {
    const accepted = this.#all.flatMap((one) => one.takes).join();
    const kinds = KINDS.filter(([part]) => accepted.includes(part)).map(([, kind]) => kind);
    const last = kinds.pop() ?? "files";
    return kinds.length ? `${kinds.join(", ")} and ${last}` : last;
  }

  get takesFiles() {
    return this.#all.some((one) => one.takes.length > 0);
  }

  /** The tasks that accept this file. */
  for(file) {
    const type = typeOf(file);
    return this.#all.filter((one) => one.takes.some((taken) => fits(taken, type)));
  }

  /** Whether the user must choose a task or enter arguments before the upload. */
  open(offers) {
    return offers.length > 1 || formOf(offers[0].arguments).needs;
  }
}

const KINDS = [["image/", "images"], ["text/csv", "tables"], ["application/pdf", "PDFs"], ["video/", "videos"], ["audio/", "audio"]];

// Operating systems report these types differently or not at all.
const BY_SUFFIX = { csv: "text/csv", tsv: "text/tab-separated-values", pdf: "application/pdf", avif: "image/avif", webp: "image/webp", mp4: "video/mp4", m4v: "video/mp4", "3gp": "video/3gpp", "3g2": "video/3gpp2", mov: "video/quicktime", webm: "video/webm", mkv: "video/x-matroska" };

/** The file's media type; for some suffixes not the one of the browser, which differs between systems. */
export function typeOf(file) {
  const suffix = file.name.split(".").at(-1).toLowerCase();
  return BY_SUFFIX[suffix] ?? (file.type || "application/octet-stream");
}

function fits(taken, type) {
  return taken === "*/*" || taken === type || (taken.endsWith("/*") && type.startsWith(taken.slice(0, -1)));
}
