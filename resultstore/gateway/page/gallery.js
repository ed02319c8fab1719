// Gallery: the cards of the filtered Results, in order; one tab stop, with arrow keys between cards.

import { GROUPS, nameOf, outputs } from "./describe.js";
import { ORDERS, sorted } from "./orders.js";
import { h, icon, say } from "./dom.js";
import { count } from "./format.js";
import { Card } from "./card.js";

const FIRST = 40;
const A_TURN = 20;
const SPARE_MS = 8; // idle time that another batch needs

// Safari has no requestIdleCallback.
const whenIdle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 20));

/** Shows `results` in `places` {gallery, empty, sum, chips, search, tasks, sort}. */
export class Gallery {
  #results;
  #places;
  #tools;
  #cards = new Map();
  #shown = [];
  #current = null;
  #filter = { text: "", group: "all", task: "", order: ORDERS[0].key };
  #turn = 0;
  #awaited = null; // the id of a card to focus as soon as it is placed
  #chips = new Map();

  constructor(results, places, tools) {
    this.#results = results;
    this.#places = places;
    this.#tools = tools;
    results.addEventListener("change", ({ detail }) => this.#changed(detail));
    places.gallery.addEventListener("keydown", (event) => this.#keyed(event));
    places.gallery.addEventListener("focusin", (event) => this.#entered(event));
    tools.selection.addEventListener("change", ({ detail }) => detail.ids.forEach((id) => this.#cards.get(id)?.select(tools.selection.has(id))));
    setInterval(() => this.#shown.forEach((id) => this.#cards.get(id)?.tick()), 60_000);
    this.#buildFilters();
  }

  /** The ids of the Results that match the filters, in order. */
  get shown() {
    return this.#shown;
  }

  /** Focus the card of a Result; if it is gone, the one that took its place. */
  focus(id) {
    const card = this.#cards.get(id);
    (card?.element.isConnected ? card : this.#cards.get(this.#current))?.focusable.focus({ preventScroll: true });
  }

  /** Focus the card of a Result, and scroll to it, as soon as it is placed. */
  reveal(id) {
    this.#awaited = id;
  }

  /** Update all cards. */
  refresh() {
    this.#changed({ ids: new Set(this.#cards.keys()), order: true });
  }

  #buildFilters() {
    const { chips, search, tasks, sort } = this.#places;
    sort.append(...ORDERS.map(({ key, label }) => h("option", { value: key }, label)));
    const kept = history.state?.order;
    if (ORDERS.some(({ key }) => key === kept)) this.#filter.order = kept;
    sort.value = this.#filter.order;
    sort.addEventListener("change", () => {
      history.replaceState({ ...history.state, order: sort.value }, ""); // stays when the page is reloaded
      this.#choose({ order: sort.value });
    });
    for (const group of GROUPS) {
      const number = h("span", { class: "number" });
      const chip = h("button", { type: "button", class: "chip", "aria-pressed": String(group.key === "all"), on: { click: () => this.#choose({ group: group.key }) } }, group.label, number);
      this.#chips.set(group.key, { chip, number });
      chips.append(chip);
    }
    search.addEventListener("input", () => this.#choose({ text: search.value.trim().toLowerCase() }));
    tasks.addEventListener("change", () => this.#choose({ task: tasks.value }));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, textarea, select, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      search.focus();
    });
  }

  #choose(part) {
    this.#filter = { ...this.#filter, ...part };
    for (const [key, { chip }] of this.#chips) chip.setAttribute("aria-pressed", String(key === this.#filter.group));
    this.#arrange();
    if (this.#results.partial && "text" in part) this.#tools.searchServer(this.#filter.text);
  }

  #changed({ ids, order }) {
    for (const id of ids) {
      const view = this.#results.get(id);
      if (view) this.#cards.get(id)?.update(view);
    }
    this.#arrange(order);
  }

  #arrange() {
    const all = this.#results.all();
    const { text, task, group, order } = this.#filter;
    const matching = all.filter((view) => (!task || view.task === task) && (!text || searched(view).includes(text)));
    const holds = GROUPS.find((one) => one.key === group).holds;
    const shown = sorted(matching.filter(holds), order).map((view) => view.id);
    for (const one of GROUPS) say(this.#chips.get(one.key).number, String(matching.filter(one.holds).length));
    this.#fillTasks(all);
    if (shown.join() !== this.#shown.join()) {
      this.#shown = shown;
      this.#turn += 1;
      this.#placeAll(this.#turn);
    } else if (!this.#shown.includes(this.#awaited)) {
      this.#awaited = null; // a filter hides it
    }
    this.#showSum(all.length, shown.length);
  }

  /** Place the first cards at once, the others while the page is idle: a thousand at once would block it. */
  #placeAll(turn) {
    this.#sweep(); // first: a card that stays would be moved to the end
    let placed = this.#place(0, FIRST);
    const goOn = (deadline) => {
      if (turn !== this.#turn) return;
      do placed = this.#place(placed, A_TURN);
      while (placed < this.#shown.length && deadline?.timeRemaining() > SPARE_MS);
      next();
    };
    const next = () => (placed < this.#shown.length ? whenIdle(goOn, { timeout: 300 }) : this.#placedAll());
    next();
  }

  /** Place up to `most` cards; returns how many are placed in total. */
  #place(from, most) {
    const { gallery } = this.#places;
    const until = Math.min(from + most, this.#shown.length);
    const had = gallery.contains(document.activeElement) ? document.activeElement : null;
    let at = from ? this.#cards.get(this.#shown[from - 1]).element.nextElementSibling : gallery.firstElementChild;
    for (let n = from; n < until; n += 1) {
      const { element } = this.#card(this.#shown[n]);
      if (element === at) at = at.nextElementSibling;
      else gallery.insertBefore(element, at);
    }
    had?.focus({ preventScroll: true });
    return until;
  }

  #placedAll() {
    const card = this.#cards.get(this.#awaited);
    this.#awaited = null;
    if (!card?.element.isConnected) return;
    card.focusable.focus({ preventScroll: true });
    card.element.scrollIntoView({ block: "nearest" });
  }

  #card(id) {
    let card = this.#cards.get(id);
    if (!card) {
      card = new Card(this.#results.get(id), this.#tools);
      this.#cards.set(id, card);
    } else {
      card.update(this.#results.get(id));
    }
    if (!this.#current) this.#setCurrent(id);
    return card;
  }

  /** Remove cards that are not shown; delete those of removed Results. */
  #sweep() {
    const wanted = new Set(this.#shown);
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      const lost = card.element.contains(document.activeElement);
      const next = lost || id === this.#current ? nextTo(card.element, wanted) : null;
      card.element.remove();
      if (!this.#results.get(id)) {
        this.#tools.previews.forget(card.element.querySelector(".frame"));
        this.#cards.delete(id);
      }
      if (next) this.#setCurrent(next);
      if (next && lost) this.focus(next);
    }
    if (!wanted.has(this.#current)) this.#setCurrent(this.#cards.has(this.#shown[0]) ? this.#shown[0] : null);
  }

  #setCurrent(id) {
    this.#cards.get(this.#current)?.reach(false);
    this.#current = id;
    this.#cards.get(id)?.reach(true);
  }

  #entered(event) {
    const id = event.target.closest(".card")?.dataset.id;
    if (id && id !== this.#current) this.#setCurrent(id);
  }

  #keyed(event) {
    const at = this.#shown.indexOf(this.#current);
    const across = this.#columns();
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -at, End: this.#shown.length - 1 - at }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = this.#shown[Math.max(0, Math.min(this.#shown.length - 1, at + step))];
    this.focus(to);
    this.#cards.get(to)?.element.scrollIntoView({ block: "nearest" });
  }

  #columns() {
    return getComputedStyle(this.#places.gallery).gridTemplateColumns.split(" ").length;
  }

  #fillTasks(all) {
    const { tasks } = this.#places;
    const names = [...new Set(all.map((view) => view.task).filter(Boolean))].sort();
    if (tasks.dataset.key === names.join()) return;
    tasks.dataset.key = names.join();
    const options = names.map((name) => h("option", { value: name }, this.#tools.titles(name) || name));
    tasks.replaceChildren(h("option", { value: "" }, "All tasks"), ...options);
    tasks.value = this.#filter.task;
  }

  #showSum(all, shown) {
    const { empty, sum, gallery } = this.#places;
    say(sum, all === shown ? "" : `${count(shown, "match", "matches")} of ${all}`);
    empty.hidden = shown > 0;
    gallery.hidden = shown === 0;
    if (shown) return;
    const key = all ? "none" : "nothing";
    if (empty.dataset.key === key) return;
    empty.dataset.key = key;
    empty.replaceChildren(icon(all ? "file" : "picture"),
      h("p", {}, all ? "No results match. Change the search or the filters." : "No results yet. Drop a file to start."));
  }
}

/** The id of the nearest card that stays: the next one, else the previous one, or null. */
function nextTo(element, wanted) {
  for (const way of ["nextElementSibling", "previousElementSibling"])
    for (let one = element[way]; one; one = one[way]) if (wanted.has(one.dataset.id)) return one.dataset.id;
  return null;
}

function searched(view) {
  const names = outputs(view).map((one) => one.file_name);
  return [nameOf(view), view.task, view.title, view.id, ...names].join("\n").toLowerCase();
}
