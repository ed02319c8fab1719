// Drawer: the details of one Result: preview, state, files, failure, timeline and code examples.

import { ROOT } from "./api.js";
import { buttonsOf } from "./card.js";
import { closeUpOf, ended, inputOf, mainOf, nameOf, outputs, percentOf, playable, previewOf, shapeOf, sizesOf, stateText, tone } from "./describe.js";
import { h, icon, iconButton, say } from "./dom.js";
import { count, expiry, fact, fullMoment, size, span } from "./format.js";
import { sentence } from "./actions.js";
import { snippetsOf } from "./snippets.js";
import { tableOf } from "./previews.js";
import { timelineOf } from "./timeline.js";

const CLOSING_MS = 200;
const SHOWN_ALREADY = new Set(["width", "height", "pages", "rows", "columns", "duration_s", "role"]);

/** Shows one Result of `results` in `dialog` and updates it. `tools` {actions, links, previews, titles, api, allows}. */
export class Drawer {
  #dialog;
  #tools;
  #results;
  #id = null;
  #sections = new Map();

  constructor(dialog, results, tools) {
    this.#dialog = dialog;
    this.#results = results;
    this.#tools = tools;
    results.addEventListener("change", ({ detail }) => this.#id && detail.ids.has(this.#id) && this.#update());
    dialog.addEventListener("click", (event) => event.target === dialog && this.close());
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    dialog.addEventListener("close", () => this.#closed());
  }

  open(id) {
    if (this.#dialog.open) return;
    this.#id = id;
    this.#sections.clear();
    this.#dialog.replaceChildren();
    this.#update();
    this.#dialog.showModal();
    this.#dialog.querySelector("h2")?.focus();
    this.#dialog.scrollTop = 0;
  }

  close() {
    if (!this.#dialog.open) return;
    this.#dialog.classList.add("closing");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    setTimeout(() => this.#dialog.close(), still ? 0 : CLOSING_MS);
  }

  #closed() {
    const id = this.#id;
    this.#id = null;
    this.#dialog.classList.remove("closing");
    this.#dialog.replaceChildren();
    this.#tools.closed(id);
  }

  #update() {
    const view = this.#results.get(this.#id);
    if (!view || (this.#dialog.open && !this.#results.all().includes(view))) {
      this.close();
      return;
    }
    const made = outputs(view);
    this.#section("head", [nameOf(view), view.task], () => this.#head(view));
    this.#section("look", [previewOf(view).kind, closeUpOf(view)?.name, made.length], () => this.#look(view));
    this.#section("state", [stateText(view), view.progress?.note, view.run_time_s], () => this.#state(view));
    this.#section("buttons", [buttonsOf(view, this.#tools.allows).join(), view.state], () => this.#buttons(view));
    this.#section("failure", [view.failure?.message], () => failureOf(view));
    this.#section("files", [made.map((one) => one.name), inputOf(view)?.sha256, ended(view)], () => this.#files(view));
    this.#section("timeline", [stateText(view), view.started_at, view.ended_at, view.retries, view.progress?.note, view.expires_at], () => h("section", {}, h("h3", {}, "Timeline"), timelineOf(view)));
    this.#section("program", [mainOf(view)?.name], () => this.#program(view));
    this.#section("ids", [view.id, view.retry_of, view.worker], () => this.#ids(view));
  }

  /** Rebuild a section only if its content has changed, since it may have the keyboard focus. */
  #section(name, shown, build) {
    const key = JSON.stringify(shown);
    const had = this.#sections.get(name);
    if (had?.key === key) return;
    const element = build();
    element.classList.add(`drawer-${name}`);
    const within = had?.element.contains(document.activeElement);
    if (had) had.element.replaceWith(element);
    else this.#dialog.append(element);
    this.#sections.set(name, { key, element });
    if (within) this.#dialog.querySelector("h2")?.focus();
  }

  #head(view) {
    return h("header", {},
      h("div", {}, h("p", { class: "soft" }, this.#tools.titles(view.task) || view.task), h("h2", { id: "drawer-title", tabindex: "-1" }, nameOf(view, this.#tools.titles))),
      iconButton("close", "Close", () => this.close()));
  }

  #look(view) {
    const box = h("div", { class: "look" });
    const media = playable(view);
    const picture = closeUpOf(view);
    const { kind, artifact } = previewOf(view);
    if (media) this.#play(box, media, picture);
    else if (kind === "picture" || kind === "cover" || kind === "video") this.#picture(box, picture);
    else if (kind === "table" && artifact) this.#table(box, artifact);
    else {
      const frame = h("div", { class: "frame" });
      this.#tools.previews.draw(frame, view);
      box.append(frame);
    }
    return box;
  }

  async #play(box, artifact, poster) {
    const player = h(artifact.media_type.startsWith("video/") ? "video" : "audio", { controls: true, preload: "metadata", crossorigin: "anonymous", "aria-label": artifact.file_name });
    box.append(player);
    let firstError = true;
    const load = async (fresh) => {
      player.src = await this.#tools.links.shown(artifact, { fresh });
    };
    player.addEventListener("error", () => {
      if (!firstError) return;
      firstError = false;
      load(true).catch(() => {}); // the buttons below can still download the file
    });
    if (poster && poster !== artifact) this.#tools.links.shown(poster).then((url) => player.setAttribute("poster", url), () => {});
    await load(false).catch(() => {}); // as above
  }

  #picture(box, artifact) {
    const img = h("img", { alt: `Preview of ${artifact.file_name}`, crossorigin: "anonymous", referrerpolicy: "no-referrer" });
    const { width, height } = artifact.metadata ?? {};
    if (width && height) img.style.setProperty("aspect-ratio", `${width} / ${height}`);
    box.append(img);
    const load = (fresh) => this.#tools.links.shown(artifact, { fresh }).then((url) => { img.src = url; }, () => box.remove());
    img.addEventListener("error", () => load(true), { once: true });
    load(false);
  }

  async #table(box, artifact) {
    const rows = await this.#tools.previews.head(artifact);
    // A wide table can be scrolled with the keyboard too.
    if (rows.length) box.append(h("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": `First rows of ${artifact.file_name}` }, tableOf(rows.slice(0, 12), 40)));
  }

  #state(view) {
    const sizes = sizesOf(view);
    const percent = percentOf(view);
    const facts = [
      sizes.in !== null && ["Input", size(sizes.in)],
      sizes.out !== null && ["Output", size(sizes.out)],
      Number.isFinite(view.run_time_s) && ["Run time", span(view.run_time_s)],
      view.state === "SUCCESS" && ["Expires", expiry(view.expires_at)],
    ].filter(Boolean);
    return h("section", {},
      h("div", { class: "state-line" }, h("span", { class: "pill", "data-tone": tone(view) }, stateText(view)), view.progress?.note && h("span", { class: "soft" }, view.progress.note)),
      percent !== null && h("div", { class: "bar wide", vars: { "--part": `${percent}%` } }),
      facts.length > 0 && h("dl", { class: "figures" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "digits" }, value)))));
  }

  #buttons(view) {
    const buttons = buttonsOf(view, this.#tools.allows).map(([name, sign, label], n) => h("button", {
      type: "button", class: n === 0 && name === "download" ? "button primary" : "button", "data-action": name,
      on: { click: () => { if (name === "remove") this.close(); this.#tools.actions[name](this.#results.get(view.id)); } },
    }, icon(sign), label.replace(" to", "")));
    return h("section", { class: "buttons" }, buttons);
  }

  #files(view) {
    const source = inputOf(view);
    const made = outputs(view);
    const rows = [...made.map((one) => this.#file(view, one)), source && this.#file(view, source, "original file")].filter(Boolean);
    return h("section", {}, h("h3", {}, rows.length ? count(rows.length, "file") : "Files"), rows.length ? h("ul", { class: "files" }, rows) : h("p", { class: "soft" }, noFiles(view)));
  }

  #file(view, artifact, about = "") {
    const { actions } = this.#tools;
    const facts = [size(artifact.size_bytes), shapeOf(artifact), artifact.media_type, about].filter(Boolean).join(" · ");
    const more = Object.entries(artifact.metadata ?? {}).filter(([name, value]) => !SHOWN_ALREADY.has(name) && value !== null && value !== "");
    return h("li", {},
      h("div", { class: "file-words" },
        h("strong", {}, artifact.file_name), h("p", { class: "soft digits" }, facts),
        more.length > 0 && h("p", { class: "soft" }, more.slice(0, 12).map(([name, value]) => `${name.replaceAll("_", " ")} ${fact(value)}`).join(" · ")),
        artifact.sha256 && h("button", { type: "button", class: "digest", title: "Copy SHA-256", "aria-label": `Copy the SHA-256 of ${artifact.file_name}`, on: { click: () => actions.copyText(artifact.sha256, "SHA-256") } }, h("span", {}, "SHA-256"), h("code", {}, artifact.sha256))),
      h("div", { class: "file-buttons" },
        iconButton("download", `Download ${artifact.file_name}`, () => actions.download(view, artifact), { shown: "Download" }),
        iconButton("link", `Copy link to ${artifact.file_name}`, () => actions.copy(view, artifact), { shown: "Copy link" })));
  }

  #program(view) {
    const snippets = snippetsOf(view, { root: ROOT, token: Boolean(this.#tools.api.token) });
    const code = h("code", {}, snippets[0].code);
    let shown = snippets[0];
    const tabs = snippets.map((one, n) => h("button", { type: "button", class: "chip", "aria-pressed": String(n === 0), on: { click: (event) => {
      shown = one;
      say(code, one.code);
      tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab === event.currentTarget)));
    } } }, one.name));
    return h("section", {}, h("div", { class: "program-head" }, h("h3", {}, "Access from code"), h("div", { class: "chips", role: "group", "aria-label": "Language" }, tabs)),
      h("div", { class: "code" }, h("pre", { tabindex: "0", "aria-label": "Code" }, code), iconButton("copy", "Copy code", () => this.#tools.actions.copyText(shown.code, "Code"))));
  }

  #ids(view) {
    const rows = [["ID", view.id], view.retry_of && ["Run again from", view.retry_of], ["Task", view.task], view.worker && ["Worker", view.worker], view.changed_at && ["Last change", fullMoment(view.changed_at)]].filter(Boolean);
    return h("section", {}, h("dl", { class: "ids" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }
}

function noFiles(view) {
  if (!ended(view)) return "No files yet.";
  const kept = view.retry_of || view.actions?.includes("retry"); // the first try has it
  return view.upload && !kept ? "The uploaded file was deleted. To try again, upload it again." : "No files.";
}

function failureOf(view) {
  if (!view.failure) return h("section", { hidden: true });
  const { type, message, summary, hint } = view.failure;
  return h("section", { class: "failure", role: "note" }, h("h3", {}, summary || sentence(message)),
    hint && h("p", { class: "hint-line" }, sentence(hint)),
    h("details", {}, h("summary", {}, "Details"), h("p", {}, h("code", {}, `${type}: ${message}`))));
}
