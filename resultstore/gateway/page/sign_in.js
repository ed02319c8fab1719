// Sign in: asks for a token if the gateway requires one. It is stored for this tab only, never in a cookie.

import { h } from "./dom.js";

/** Ask in `dialog`; resolves when a token was entered. The dialog cannot be closed without one. */
export function askToken(dialog, api, { refused }) {
  return new Promise((resolve) => {
    const input = h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "entry-about" });
    const submit = (event) => {
      event.preventDefault();
      api.token = input.value.trim();
      dialog.removeEventListener("cancel", stay);
      dialog.close();
      resolve();
    };
    const stay = (event) => event.preventDefault();
    const wrong = refused ? h("p", { class: "wrong", role: "alert" }, "This token is unknown or has expired.") : null;
    dialog.replaceChildren(h("form", { on: { submit } },
      h("header", { class: "sheet-head" }, h("div", {}, h("h2", { id: "entry-title" }, "Sign in"), h("p", { class: "soft", id: "entry-about" }, "Paste your access token. It is stored in this tab only, until you close it."))),
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"), input), wrong,
      h("div", { class: "sheet-foot" }, h("button", { type: "submit", class: "button primary" }, "Sign in"))));
    dialog.addEventListener("cancel", stay);
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}
