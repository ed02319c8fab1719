// Sheet: the dialog to choose a task and its options, for files or for a task without a file.

import { h, iconButton } from "./dom.js";
import { formOf } from "./forms.js";
import { sentence } from "./actions.js";
import { count, size } from "./format.js";

/** Asks in `dialog`. */
export class Sheet {
  #dialog;
  #last = Promise.resolve(null);
  #waiting = 0;

  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** Ask which of `offers` to use for `files`: resolves with {task, options}, or null if the user cancels. */
  forFiles(files, offers) {
    const about = files.length === 1 ? `${files[0].name}, ${size(files[0].size)}` : `${count(files.length, "file")}: ${files.slice(0, 3).map((one) => one.name).join(", ")}${files.length > 3 ? " …" : ""}`;
    const act = async (task, options) => ({ task, options });
    return this.#ask({ title: "Choose an action", about, offers, verb: files.length === 1 ? "Upload" : `Upload ${files.length} files`, act });
  }

  /** Ask which task to start; `act(task, arguments)` starts it, and its error is shown below the form. */
  forTask(offers, act) {
    return this.#ask({ title: "New task", about: "These tasks need no file.", offers, verb: "Start", act });
  }

  /** Whether a question is open. */
  get busy() {
    return this.#waiting > 0;
  }

  /** Ask when the questions before have been answered. */
  async #ask(question) {
    this.#waiting += 1;
    this.#last = this.#last.then(() => this.#askNow(question));
    try {
      return await this.#last;
    } finally {
      this.#waiting -= 1;
    }
  }

  #askNow({ title, about, offers, verb, act }) {
    return new Promise((resolve) => {
      let outcome = null;
      let form = formOf(offers[0].arguments);
      const fields = h("div", { class: "sheet-fields" }, form.element);
      const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
      const choose = (offer) => {
        form = formOf(offer.arguments);
        fields.replaceChildren(form.element);
        wrong.hidden = true;
      };
      const go = h("button", { type: "submit", class: "button primary" }, verb);
      const submit = async (event) => {
        event.preventDefault();
        const task = offers.length > 1 ? new FormData(element).get("offer") : offers[0].task;
        go.disabled = true;
        try {
          outcome = await act(task, form.read());
          this.#dialog.close();
        } catch (error) {
          wrong.textContent = sentence(error.message);
          wrong.hidden = false;
        } finally {
          go.disabled = false;
        }
      };
      const element = h("form", { on: { submit } }, this.#head(title, about), radios(offers, choose), fields, wrong,
        h("div", { class: "sheet-foot" }, h("button", { type: "button", class: "button", on: { click: () => this.#dialog.close() } }, "Cancel"), go));
      this.#dialog.replaceChildren(element);
      this.#dialog.addEventListener("close", () => resolve(outcome), { once: true });
      this.#dialog.showModal();
      (element.querySelector("input:checked") ?? element.querySelector(".fields input, .fields select") ?? go).focus();
    });
  }

  #head(title, about) {
    return h("header", { class: "sheet-head" }, h("div", {}, h("h2", { id: "sheet-title" }, title), h("p", { class: "soft" }, about)),
      iconButton("close", "Close", () => this.#dialog.close()));
  }
}

function radios(offers, choose) {
  if (offers.length === 1) return h("p", { class: "offer-one" }, h("strong", {}, offers[0].title), offers[0].description ? ` ${offers[0].description}` : "");
  const cards = offers.map((offer, n) => h("label", { class: "offer" },
    h("input", { type: "radio", name: "offer", value: offer.task, checked: n === 0, on: { change: () => choose(offer) } }),
    h("span", {}, h("strong", {}, offer.title), h("span", { class: "soft" }, offer.description))));
  return h("fieldset", { class: "offers" }, h("legend", { class: "unseen" }, "Task"), cards);
}
