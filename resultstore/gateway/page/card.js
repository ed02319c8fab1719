// Card: one Result in the gallery, created once and then updated.

import { h, iconButton, say } from "./dom.js";
import { ended, filesOf, interrupted, inputOf, mainOf, nameOf, outputs, percentOf, sizesOf, stateText, tone } from "./describe.js";
import { count, expiry, fullMoment, isoMoment, moment, size, span } from "./format.js";

/** A card and how to update it. `tools` are {previews, actions, titles, open, allows, selection}. */
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
      when: h("time", { class: "digits" }),
      expires: h("span"),
      pick: h("input", { type: "checkbox", tabindex: "-1", on: { change: (event) => tools.selection.set(this.#view.id, event.target.checked) } }),
      pill: h("span", { class: "pill" }),
      buttons: h("div", { class: "card-buttons" }),
    };
    const { frame, bar, task, facts, when, expires, pick, pill, buttons } = this.#parts;
    this.element = h("li", { class: "card", "data-id": view.id },
      h("div", { class: "card-top" }, frame, bar),
      h("div", { class: "card-words" }, h("h3", {}, title), task, facts, h("p", { class: "card-when" }, when, expires)),
      h("div", { class: "card-foot" }, pill, buttons), h("label", { class: "pick" }, pick));
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
    this.#showTime(view);
    this.select(this.#tools.selection.has(view.id));
  }

  /** Show whether the Result is selected, and whether it can be. */
  select(selected) {
    const { pick } = this.#parts;
    const can = filesOf(this.#view).length > 0;
    pick.parentElement.hidden = !can;
    pick.checked = selected && can;
    pick.setAttribute("aria-label", `Select ${nameOf(this.#view, this.#tools.titles)}`);
    this.element.toggleAttribute("data-selected", pick.checked);
  }

  /** Update what depends on the current time. */
  tick() {
    say(this.#parts.facts, factsText(this.#view));
    const { expires } = this.#parts;
    say(expires, expiryText(this.#view));
  }

  #showTime(view) {
    const { when } = this.#parts;
    when.hidden = !view.created_at;
    if (!view.created_at) return;
    say(when, moment(view.created_at));
    when.dateTime = isoMoment(view.created_at);
    when.title = view.ended_at ? `Started ${fullMoment(view.created_at)}, ended ${fullMoment(view.ended_at)}` : `Started ${fullMoment(view.created_at)}`;
  }

  /** Include this card's controls in the tab order, or exclude them. */
  reach(within) {
    for (const one of this.element.querySelectorAll("button, input")) one.tabIndex = within ? 0 : -1;
  }

  #taskText(view) {
    if (view.state === "FAILURE" && view.failure) return view.failure.summary || view.failure.message || view.failure.type;
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
    const wanted = buttonsOf(view, this.#tools.allows);
    const key = wanted.map(([name]) => name).join();
    const { buttons } = this.#parts;
    if (buttons.dataset.key === key) return;
    const within = buttons.contains(document.activeElement);
    buttons.dataset.key = key;
    const { actions } = this.#tools;
    buttons.replaceChildren(...wanted.map(([name, sign, label]) =>
      iconButton(sign, `${label} ${nameOf(view)}`, () => actions[name](this.#view), { "data-action": name, title: label, shown: label.replace(" to", "") })));
    this.reach(this.#parts.title.tabIndex === 0);
    if (within) this.#parts.title.focus(); // the focused button was removed
  }
}

/** The possible actions: [action, icon, label]. `allows(scope)` says what the caller's token permits. */
export function buttonsOf(view, allows) {
  const offered = new Set(view.actions ?? []);
  const main = mainOf(view);
  const waits = interrupted(view) && allows("upload");
  return [
    waits && ["resume", "play", "Resume"],
    waits && ["remove", "remove", "Discard"],
    main && ["download", "download", "Download"],
    main && ["copy", "link", "Copy link to"],
    offered.has("retry") && allows("run") && ["retry", "retry", "Run again"],
    offered.has("cancel") && allows("run") && ["cancel", "stop", "Cancel"],
    offered.has("delete") && allows("delete") && ["remove", "remove", "Delete"],
  ].filter(Boolean);
}

function factsText(view) {
  const sizes = sizesOf(view);
  const both = sizes.in !== null && sizes.out !== null && sizes.in !== sizes.out ? `${size(sizes.in)} → ${size(sizes.out)}` : size(sizes.out ?? sizes.in ?? NaN);
  return [both, span(view.run_time_s ?? NaN)].filter(Boolean).join(" · ");
}

function expiryText(view) {
  if (view.state !== "SUCCESS") return "";
  const when = expiry(expiryOf(view));
  return ` · ${{ never: "never expires", expired: "expired" }[when] ?? `expires ${when}`}`;
}

function expiryOf(view) {
  const ends = outputs(view).map((one) => one.expires_at).filter((at) => at !== null);
  return ends.length ? Math.min(...ends) : (view.expires_at ?? inputOf(view)?.expires_at ?? null);
}
