// Card: one Result in the gallery, created once and then updated.

import { h, iconButton, say } from "./dom.js";
import { ended, inputOf, nameOf, outputs, percentOf, sizesOf, stateText, tone } from "./describe.js";
import { count, expiry, fullMoment, size, span } from "./format.js";

/** A card and how to update it. `tools` are {previews, actions, titles, open}. */
export class Card {
  #tools;
  #view = null;
  #parts;

  constructor(view, tools) {
    this.#tools = tools;
    const title = h("button", { type: "button", class: "card-title", tabindex: "-1", on: { click: () => tools.open(this.#view.id) } });
    this.#parts = {
      frame: h("div", { class: "frame" }),
      bar: h("div", { class: "bar" }),
      title,
      task: h("p", { class: "card-task" }),
      facts: h("p", { class: "card-facts digits" }),
      expires: h("p", { class: "card-expiry" }),
      pill: h("span", { class: "pill" }),
      buttons: h("div", { class: "card-buttons" }),
    };
    const { frame, bar, task, facts, expires, pill, buttons } = this.#parts;
    this.element = h("li", { class: "card", "data-id": view.id },
      h("div", { class: "card-top" }, frame, bar),
      h("div", { class: "card-words" }, h("h3", {}, title), task, facts, expires),
      h("div", { class: "card-foot" }, pill, buttons));
    this.update(view);
  }

  /** The element that gets the keyboard focus. */
  get focusable() {
    return this.#parts.title;
  }

  /** Show `view`; unchanged parts stay untouched. */
  update(view) {
    if (view === this.#view) return;
    this.#view = view;
    const { frame, bar, title, task, facts, pill } = this.#parts;
    this.element.dataset.tone = tone(view);
    const name = nameOf(view, this.#tools.titles);
    say(title, name);
    title.title = name;
    say(task, this.#taskText(view));
    task.classList.toggle("bad-text", view.state === "FAILURE");
    say(pill, stateText(view));
    pill.dataset.tone = tone(view);
    this.#showBar(bar, view);
    this.#tools.previews.draw(frame, view);
    this.tick();
    this.#showButtons(view);
    facts.title = view.ended_at ? `Ended ${fullMoment(view.ended_at)}` : "";
  }

  /** Update what depends on the current time. */
  tick() {
    say(this.#parts.facts, factsText(this.#view));
    const { expires } = this.#parts;
    say(expires, expiryText(this.#view));
    expires.hidden = !expires.textContent;
  }

  /** Include this card's controls in the tab order, or exclude them. */
  reach(within) {
    for (const one of this.element.querySelectorAll("button")) one.tabIndex = within ? 0 : -1;
  }

  #taskText(view) {
    if (view.state === "FAILURE" && view.failure) return view.failure.message || view.failure.type;
    const name = this.#tools.titles(view.task) || view.task;
    const made = outputs(view);
    if (!ended(view) && view.progress?.note) return `${name} · ${view.progress.note}`;
    return made.length > 1 ? `${name} · ${count(made.length, "file")}` : name;
  }

  #showBar(bar, view) {
    const percent = percentOf(view);
    bar.hidden = ended(view) || tone(view) === "idle";
    bar.classList.toggle("unknown", percent === null);
    bar.style.setProperty("--part", `${percent ?? 30}%`);
  }

  #showButtons(view) {
    const wanted = buttonsOf(view);
    const key = wanted.map(([name]) => name).join();
    const { buttons } = this.#parts;
    if (buttons.dataset.key === key) return;
    const within = buttons.contains(document.activeElement);
    buttons.dataset.key = key;
    const { actions } = this.#tools;
    buttons.replaceChildren(...wanted.map(([name, sign, label]) =>
      iconButton(sign, `${label} ${nameOf(view)}`, () => actions[name](this.#view), { "data-action": name, title: label })));
    this.reach(this.#parts.title.tabIndex === 0);
    if (within) this.#parts.title.focus(); // the focused button was removed
  }
}

/** The possible actions: [action, icon, label]. */
export function buttonsOf(view) {
  const allowed = new Set(view.actions ?? []);
  const made = outputs(view);
  const interrupted = view.state === "UPLOADING" && !view.sending;
  return [
    interrupted && ["resume", "play", "Resume"],
    made.length && ["download", "download", "Download"],
    made.length && ["copy", "link", "Copy link to"],
    allowed.has("retry") && ["retry", "retry", "Restart"],
    allowed.has("cancel") && ["cancel", "stop", "Cancel"],
    allowed.has("delete") && ["remove", "remove", "Delete"],
  ].filter(Boolean);
}

function factsText(view) {
  const sizes = sizesOf(view);
  const both = sizes.in !== null && sizes.out !== null ? `${size(sizes.in)} → ${size(sizes.out)}` : size(sizes.out ?? sizes.in ?? NaN);
  return [both, span(view.run_time_s ?? NaN)].filter(Boolean).join(" · ");
}

function expiryText(view) {
  if (view.state !== "SUCCESS") return "";
  const when = expiry(expiryOf(view));
  return { never: "Never expires", expired: "Expired" }[when] ?? `Expires ${when}`;
}

function expiryOf(view) {
  const ends = outputs(view).map((one) => one.expires_at).filter((at) => at !== null);
  return ends.length ? Math.min(...ends) : (view.expires_at ?? inputOf(view)?.expires_at ?? null);
}
