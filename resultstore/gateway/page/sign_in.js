// Sign in: asks for a token if the gateway requires one, or links to the application's own page for it. The token is
// stored for this tab only, never in a cookie.

import { h } from "./dom.js";

/** Show the application's own page to sign in; nothing more can be done here without a session. */
export function linkSignIn(dialog, url) {
  dialog.replaceChildren(
    h("header", { class: "sheet-head" }, h("div", {}, h("h2", { id: "entry-title" }, "Sign in"), h("p", { class: "soft" }, "You are not signed in, or your session has ended."))),
    h("div", { class: "sheet-foot" }, h("a", { class: "button primary", href: url }, "Sign in")));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  if (!dialog.open) dialog.showModal();
  return new Promise(() => {}); // this page is left
}

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
