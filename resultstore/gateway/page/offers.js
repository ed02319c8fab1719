// Offers: which tasks the gateway starts, and which of them take a file.

import { formOf } from "./forms.js";

/** The offers of a session. */
export class Offers {
  #all = [];

  take(offers) {
    this.#all = offers ?? [];
  }

  /** The title of a task, or nothing where it is not offered. */
  title = (task) => this.#all.find((one) => one.task === task)?.title ?? "";

  /** Those that start without a file. */
  get free() {
    return this.#all.filter((one) => one.takes.length === 0);
  }

  /** "Pictures, tables and video": what may be dropped. */
  get kinds() {
    const taken = this.#all.flatMap((one) => one.takes).join();
    const words = KINDS.filter(([part]) => taken.includes(part)).map(([, word]) => word);
    const last = words.pop() ?? "files";
    const all = words.length ? `${words.join(", ")} and ${last}` : last;
    return all.charAt(0).toUpperCase() + all.slice(1);
  }

  get takesFiles() {
    return this.#all.some((one) => one.takes.length > 0);
  }

  /** Those that take this file. */
  for(file) {
    const type = typeOf(file);
    return this.#all.filter((one) => one.takes.some((taken) => fits(taken, type)));
  }

  /** Whether there is anything to ask before a file can go. */
  open(offers) {
    return offers.length > 1 || formOf(offers[0].arguments).needs;
  }
}

const KINDS = [["image/", "pictures"], ["text/csv", "tables"], ["application/pdf", "PDFs"], ["video/", "video"], ["audio/", "sound"]];

// Systems name these differently, or not at all.
const BY_SUFFIX = { csv: "text/csv", tsv: "text/tab-separated-values", pdf: "application/pdf", avif: "image/avif", webp: "image/webp", mp4: "video/mp4", m4v: "video/mp4", "3gp": "video/3gpp", "3g2": "video/3gpp2", mov: "video/quicktime", webm: "video/webm", mkv: "video/x-matroska" };

/** The file's media type: by its suffix where the browser is known to guess differently. */
export function typeOf(file) {
  const suffix = file.name.split(".").at(-1).toLowerCase();
  return BY_SUFFIX[suffix] ?? (file.type || "application/octet-stream");
}

function fits(taken, type) {
  return taken === "*/*" || taken === type || (taken.endsWith("/*") && type.startsWith(taken.slice(0, -1)));
}
