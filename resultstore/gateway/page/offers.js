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

  /** What is accepted, as sentences: "Images, tables and videos are processed. Any other file can be stored as it is." */
  get accepted() {
    const accepted = this.#all.flatMap((one) => one.takes).join();
    const kinds = KINDS.filter(([part]) => accepted.includes(part)).map(([, kind]) => kind);
    const last = kinds.pop() ?? (accepted.replaceAll("*/*", "").replaceAll(",", "") ? "files of some types" : "");
    const words = kinds.length ? `${kinds.join(", ")} and ${last}` : last;
    const any = this.#all.some(takesAny);
    if (!words) return any ? "Files of any type are accepted." : "";
    return `${words.charAt(0).toUpperCase()}${words.slice(1)} are processed.${any ? " Any other file can be stored as it is." : ""}`;
  }

  /** Each task that takes files: {title, types}, such as "JPEG, PNG, WebP". */
  get types() {
    return this.#all.filter((one) => one.takes.length).map((one) => ({ title: one.title, types: one.takes.map(typeName).join(", "), most: one.max_bytes }));
  }

  get takesFiles() {
    return this.#all.some((one) => one.takes.length > 0);
  }

  /** The tasks that accept this file; those that accept any file come last. */
  for(file) {
    const type = typeOf(file);
    const takers = this.#all.filter((one) => one.takes.some((taken) => fits(taken, type)));
    return [...takers.filter((one) => !takesAny(one)), ...takers.filter(takesAny)];
  }

  /**
   * The task to start without a question, or null if the user must choose a task or enter arguments.
   *
   * A task for any file is no alternative to the one that is made for the type.
   */
  plain(takers) {
    const special = takers.filter((one) => !takesAny(one));
    const choice = special.length ? special : takers;
    return choice.length === 1 && !formOf(choice[0].arguments).needs ? choice[0] : null;
  }

  /** The media type to declare for this file: none ("any bytes") to a task that takes any file. */
  declared(task, file) {
    const offer = this.#all.find((one) => one.task === task);
    return offer && takesAny(offer) ? "application/octet-stream" : typeOf(file);
  }
}

/** Whether a task accepts files of any type. */
export function takesAny(offer) {
  return offer.takes.includes("*/*");
}

const KINDS = [["image/", "pictures"], ["text/csv", "tables"], ["application/pdf", "PDFs"], ["video/", "videos"], ["audio/", "audio"]];

// Operating systems report these types differently or not at all.
const BY_SUFFIX = { csv: "text/csv", tsv: "text/tab-separated-values", pdf: "application/pdf", avif: "image/avif", webp: "image/webp", mp4: "video/mp4", m4v: "video/mp4", "3gp": "video/3gpp", "3g2": "video/3gpp2", mov: "video/quicktime", webm: "video/webm", mkv: "video/x-matroska" };

/** The file's media type; for some suffixes not the one of the browser, which differs between systems. */
export function typeOf(file) {
  const suffix = file.name.split(".").at(-1).toLowerCase();
  return BY_SUFFIX[suffix] ?? (file.type || "application/octet-stream");
}

const TYPE_NAMES = { "*/*": "any file", "text/csv": "CSV", "text/tab-separated-values": "TSV", "text/plain": "text", "video/quicktime": "MOV", "video/x-matroska": "MKV", "image/webp": "WebP", "video/webm": "WebM", "video/3gpp": "3GP", "video/3gpp2": "3G2", "image/*": "any picture", "video/*": "any video", "audio/*": "any audio", "text/*": "any text" };

function typeName(type) {
  return TYPE_NAMES[type] ?? type.split("/")[1].replace(/^x-|^vnd\./, "").toUpperCase();
}

function fits(taken, type) {
  return taken === "*/*" || taken === type || (taken.endsWith("/*") && type.startsWith(taken.slice(0, -1)));
}
