// Previews: the preview of a Result on its card, loaded only when it is near the viewport.

import { h, icon, say } from "./dom.js";
import { count, fact, size } from "./format.js";
import { previewOf } from "./describe.js";

const NEAR = "400px";
const STAYS_MS = 120; // minimum time near the viewport; less means that it was only scrolled past
const FADES_MS = 260;
const HEAD_BYTES = 2048;
const ROWS = 4;
const COLUMNS = 5;
const SIGNS = [
  [/^image\//, "picture"], [/^video\//, "video"], [/^audio\//, "sound"],
  [/csv|parquet|spreadsheet/, "table"], [/zip|tar|zstd/, "archive"], [/skops|safetensors|onnx/, "model"],
];

/** Draws previews; images and table heads are loaded when they stay near the viewport. */
export class Previews {
  #links;
  #seen;
  #work = new WeakMap();
  #near = new Set();
  #due = 0;

  constructor(links) {
    this.#links = links;
    this.#seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) isIntersecting ? this.#near.add(target) : this.#near.delete(target);
      clearTimeout(this.#due);
      this.#due = setTimeout(() => this.#load(), STAYS_MS);
    }, { rootMargin: NEAR });
  }

  #load() {
    for (const frame of this.#near) {
      this.#seen.unobserve(frame);
      this.#work.get(frame)?.();
    }
    this.#near.clear();
  }

  /** Draw the preview of `view` into `frame`, unless it already shows it. */
  draw(frame, view) {
    const preview = previewOf(view);
    const local = view.sending?.picture && preview.kind === "file" ? view.sending.picture : "";
    const drawn = [preview.kind, preview.artifact?.link ?? preview.artifact?.file_name, preview.facts?.rows, local].join("|");
    if (frame.dataset.drawn === drawn) return;
    frame.dataset.drawn = drawn;
    frame.dataset.kind = local ? "picture" : preview.kind;
    const before = frame.querySelector("img.loaded")?.closest(".frame > *");
    const made = local ? this.#local(frame, local, preview.artifact) : this.#made(frame, preview);
    frame.replaceChildren(...[before, made].filter(Boolean));
    const shown = made.querySelector?.("img");
    // The old image stays until the new one is loaded, to avoid a flash.
    if (before && shown) shown.addEventListener("load", () => setTimeout(() => before.remove(), FADES_MS), { once: true });
    else before?.remove();
  }

  /** Release a frame that is removed from the page. */
  forget(frame) {
    this.#seen.unobserve(frame);
    this.#near.delete(frame);
    this.#work.delete(frame);
  }

  /** A local image that is being uploaded; its bytes may not be an image. */
  #local(frame, url, file) {
    const shown = picture(url);
    shown.addEventListener("error", () => frame.replaceChildren(sign(file.media_type, file.file_name)), { once: true });
    return shown;
  }

  #made(frame, { kind, artifact, facts }) {
    if (kind === "picture" || kind === "cover" || (kind === "video" && artifact)) return this.#picture(frame, artifact, kind === "video");
    if (kind === "model") return modelCard(facts);
    if (kind === "pdf") return sheetOfPaper(artifact, facts);
    if (kind === "table") return this.#table(frame, artifact, facts);
    return sign(artifact?.media_type ?? "", artifact?.file_name ?? "");
  }

  #later(frame, work) {
    this.#work.set(frame, work);
    this.#seen.observe(frame);
  }

  #picture(frame, artifact, plays) {
    const shown = picture("");
    const load = async (fresh) => {
      try {
        shown.src = await this.#links.shown(artifact, { fresh });
      } catch {
        failed();
      }
    };
    const failed = () => frame.dataset.drawn?.includes(artifact.link) && frame.replaceChildren(sign(artifact.media_type, artifact.file_name));
    let firstError = true;
    shown.addEventListener("load", () => shown.classList.add("loaded"));
    shown.addEventListener("error", () => {
      if (!firstError) return failed();
      firstError = false; // the link may have expired while the page was suspended
      return load(true);
    });
    this.#later(frame, () => load(false));
    // A portrait is shown whole: cut to the card's shape, it would lose the head or the feet.
    const { width, height } = artifact.metadata ?? {};
    shown.addEventListener("load", () => shown.classList.toggle("tall", shown.naturalHeight > shown.naturalWidth));
    if (height > width) shown.classList.add("tall");
    const box = h("div", { class: "picture-box" }, shown);
    if (plays) box.append(h("span", { class: "plays" }, icon("play")));
    return box;
  }

  #table(frame, artifact, facts) {
    const box = h("div", { class: "table-head" }, emptyTable(facts));
    if (artifact) this.#later(frame, async () => {
      const rows = await this.head(artifact);
      if (rows.length) box.replaceChildren(tableOf(rows.slice(0, ROWS), COLUMNS), ...tableSum(facts));
    });
    return box;
  }

  /** Read the first rows of a CSV: a range of 2 KB, directly from the store. */
  async head(artifact) {
    try {
      const url = await this.#links.shown(artifact, { inline: false });
      const response = await fetch(url, { headers: { range: `bytes=0-${HEAD_BYTES - 1}` }, credentials: "omit", referrerPolicy: "no-referrer" });
      if (!response.ok) return [];
      const text = textOf(await response.arrayBuffer());
      return rowsOf(artifact.size_bytes > HEAD_BYTES ? text.slice(0, text.lastIndexOf("\n")) : text);
    } catch {
      return []; // a missing preview is not an error for the user
    }
  }
}

function picture(src) {
  // Loaded with CORS, because the store's origin may forbid embedding (Cross-Origin-Resource-Policy).
  const shown = h("img", { alt: "", crossorigin: "anonymous", referrerpolicy: "no-referrer", decoding: "async", draggable: "false" });
  if (src) {
    shown.removeAttribute("crossorigin"); // a blob: URL of this page
    shown.src = src;
    shown.classList.add("loaded");
  }
  return shown;
}

/** An icon with the file's suffix, for a file without a preview. */
function sign(mediaType, fileName) {
  const suffix = /\.([A-Za-z0-9]{1,6})$/.exec(fileName)?.[1]?.toUpperCase() ?? "";
  const name = SIGNS.find(([pattern]) => pattern.test(mediaType))?.[1] ?? "file";
  return h("div", { class: "sign" }, icon(name), h("span", {}, suffix));
}

function sheetOfPaper(artifact, facts) {
  const pages = facts?.pages ? `${facts.pages} ${facts.pages === 1 ? "page" : "pages"}` : size(artifact.size_bytes);
  const title = artifact.file_name.replace(/\.pdf$/i, "");
  return h("div", { class: "paper" }, h("strong", {}, title), h("i"), h("i"), h("i"), h("i"), h("span", {}, pages));
}

function modelCard(facts) {
  const percent = (facts.accuracy * 100).toFixed(1);
  const bars = [["accuracy", facts.accuracy], ["F1", facts.f1], ["cross-validated", facts.cv_accuracy]]
    .filter(([, value]) => typeof value === "number")
    .map(([name, value]) => h("li", {}, h("span", {}, name), h("b", { vars: { "--part": `${value * 100}%` } }), h("span", { class: "digits" }, value.toFixed(3))));
  const words = [facts.kind, facts.classes && `${facts.classes} classes`, facts.rows && count(facts.rows, "row")].filter(Boolean).join(" · ");
  return h("div", { class: "model-card" },
    h("p", { class: "figure" }, percent, h("small", {}, " % accuracy")),
    h("ul", {}, bars.slice(1)),
    h("p", { class: "soft" }, words));
}

function emptyTable(facts) {
  const box = h("div", { class: "cells" });
  for (let n = 0; n < 20; n += 1) box.append(h("i"));
  return h("div", {}, box, ...tableSum(facts));
}

function tableSum(facts) {
  const words = [facts?.rows && count(facts.rows, "row"), facts?.columns && count(facts.columns, "column")].filter(Boolean);
  return words.length ? [h("p", { class: "table-sum" }, words.join(" × "))] : [];
}

/** A table of the first columns. */
export function tableOf(rows, columns) {
  const [header, ...rest] = rows.map((row) => row.slice(0, columns));
  const cells = (row, tag) => h("tr", {}, row.map((text) => filled(h(tag), text)));
  return h("table", {}, h("thead", {}, cells(header, "th")), h("tbody", {}, rest.map((row) => cells(row, "td"))));
}

function filled(cell, text) {
  say(cell, text.slice(0, 24));
  return cell;
}

/** Decode the first bytes of a text: UTF-8, whose last character may be cut, else windows-1252 as Excel writes it. */
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Parse rows of delimited text; quoted cells may contain the delimiter (RFC 4180). */
export function rowsOf(text) {
  const lines = text.replace(/^\ufeff/, "").replace(/^"?sep=.\W*\n/i, "").split(/\r?\n/).filter(Boolean).slice(0, 40);
  if (!lines.length) return [];
  const delimiter = [",", ";", "\t", "|"].sort((a, b) => lines[0].split(b).length - lines[0].split(a).length)[0];
  const cell = new RegExp(`(?:^|\\${delimiter})(?:"((?:[^"]|"")*)"|([^\\${delimiter}]*))`, "g");
  return lines.map((line) => [...line.matchAll(cell)].map((found) => (found[1]?.replaceAll('""', '"') ?? found[2] ?? "").trim()));
}
