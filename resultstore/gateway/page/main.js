// Main: composes the page: the session, the Results, and the files that are uploaded.

import { Actions, sentence } from "./actions.js";
import { Api, Problem, backoff, idempotencyKey, pause } from "./api.js";
import { askToken, linkSignIn } from "./sign_in.js";
import { chooseFile, watchFiles } from "./file_picker.js";
import { Drawer } from "./drawer.js";
import { ended, nameOf } from "./describe.js";
import { Feed } from "./feed.js";
import { count, size } from "./format.js";
import { Gallery } from "./gallery.js";
import { pageSetting, takeHandedToken } from "./handed_token.js";
import { Health } from "./health.js";
import { Links } from "./links.js";
import { Offers, takesAny } from "./offers.js";
import { Previews } from "./previews.js";
import { Results } from "./results.js";
import { Selection } from "./selection.js";
import { Sheet } from "./sheet.js";
import { Toasts } from "./toasts.js";
import { Transfers } from "./transfers.js";
import { h, say } from "./dom.js";

const BANNERS = {
  offline: "You are offline. Uploads and updates resume when the connection is back.",
  lost: "The server does not answer. The page keeps trying; what it shows may be out of date, and uploads wait.",
};
const RENEW_SECONDS = 15; // until a worker has registered a task

const at = (id) => document.getElementById(id);

const api = new Api();
const results = new Results();
const links = new Links(api);
const offers = new Offers();
const previews = new Previews(links);
const toasts = new Toasts(at("toasts"), at("announcer"));
const actions = new Actions({ api, links, results, toasts });
const transfers = new Transfers({ api, results, toasts }, { section: at("transfers"), list: at("transfers-list"), sum: at("transfers-sum") });
const health = new Health(at("health"));
const sheet = new Sheet(at("sheet"));
const searchServer = debounced(async (text) => {
  const found = await api.get("v1/results", { q: text, limit: 100 });
  found.items.forEach((view) => results.put(view));
}, 300);
let feed = null;
let scopes = new Set();
const allows = (scope) => scopes.has(scope);
const selection = new Selection(at("selection"), results, { archive: actions.archive, shown: () => gallery.shown });
const gallery = new Gallery(results,
  { gallery: at("gallery"), empty: at("empty"), sum: at("results-sum"), chips: at("chips"), search: at("search"), tasks: at("tasks"), sort: at("sort") },
  { previews, actions, titles: offers.title, open: (id) => drawer.open(id), searchServer, allows, selection });
const drawer = new Drawer(at("drawer"), results, { actions, links, previews, api, titles: offers.title, closed: (id) => gallery.focus(id), allows });

let allowed = promised(); // resolved when the scopes are known

/** Upload files; ask first if there is a choice of tasks. Files that come before the session is known wait. */
async function take(files) {
  if (at("entry").open) toasts.show(`${namesOf(files)}: the upload starts after you have signed in.`);
  drawer.close(); // it would cover the new cards
  await allowed.promise;
  const groups = new Map();
  const refused = [];
  for (const file of files) {
    const takers = scopes.has("upload") ? offers.for(file).filter((one) => file.size <= one.max_bytes) : [];
    if (!takers.length || !file.size) refused.push(file);
    else {
      const key = takers.map((one) => one.task).join();
      groups.set(key, { takers, files: [...(groups.get(key)?.files ?? []), file] });
    }
  }
  if (refused.length) toasts.show(refusalOf(refused), { bad: true });
  for (const { takers, files: some } of groups.values()) {
    const plain = at("ask").checked ? null : offers.plain(takers);
    if (!plain && sheet.busy) toasts.show(`${namesOf(some)}: you can choose the action next.`);
    const order = plain ? { task: plain.task, options: {} } : await sheet.forFiles(some, takers);
    if (!order) continue;
    some.forEach((file) => transfers.add(file, { ...order, media_type: offers.declared(order.task, file) }));
    if (plain && takesAny(plain) && offers.types.length > 1) toasts.show(`${namesOf(some)}: no task here can process this type of file. It will be stored as it is.`);
  }
}

function namesOf(files) {
  return files.length === 1 ? files[0].name : count(files.length, "file");
}

function refusalOf(files) {
  const names = namesOf(files);
  if (!scopes.has("upload")) return "Your token does not allow uploads.";
  if (files.every((file) => !file.size)) return files.length === 1 ? `${names} is empty.` : `${names} are empty.`;
  const fits = files.some((file) => offers.for(file).length > 0);
  return fits ? `${names}: too large. See "Accepted types" for the limits.` : `${names}: this type of file is not accepted. See "Accepted types".`;
}

/** Resume an upload that an earlier page started: the user has to choose the same file again. */
actions.resume = async (view) => {
  const file = await chooseFile();
  if (!file) return;
  if (file.size !== view.upload?.size_bytes || file.name !== view.upload?.name) {
    toasts.show(`That is a different file. To resume, choose ${nameOf(view)} (${size(view.upload?.size_bytes)}).`, { bad: true });
    return;
  }
  transfers.resume(view.id, file);
};

actions.restored = (id) => gallery.reveal(id);

function connection(state) {
  health.live(state);
  const banner = at("banner");
  banner.hidden = !BANNERS[state];
  if (BANNERS[state]) say(banner, BANNERS[state]);
}

/** Request the session until the gateway answers, then start the feed. */
async function begin() {
  feed?.stop();
  if (allowed.kept) allowed = promised();
  for (let failures = 0; ; failures += 1) {
    try {
      const session = await api.get("v1/session");
      settle(session);
      break;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401) {
        const url = pageSetting("sign-in");
        await (url ? linkSignIn(at("entry"), url) : askToken(at("entry"), api, { refused: Boolean(api.token) }));
        continue;
      }
      at("banner").hidden = false;
      say(at("banner"), `${sentence(error.message)} The page keeps trying.`);
      await pause(backoff(failures));
    }
  }
  feed = new Feed(api, results);
  feed.addEventListener("state", ({ detail }) => connection(detail));
  feed.start();
}

let renewal = 0;

function settle(session) {
  at("banner").hidden = true;
  scopes = new Set(session.scopes);
  offers.take(session.offers);
  transfers.limits = session.limits ?? {};
  say(at("hero-text"), offers.takesFiles ? offers.accepted : "No task that accepts files is available.");
  at("accepted").hidden = !offers.takesFiles;
  at("accepted-types").replaceChildren(...offers.types.flatMap(({ title, types, most }) => [h("dt", {}, title), h("dd", {}, `${types}, up to ${size(most)}`)]));
  at("start").hidden = !scopes.has("run") || !offers.free.length;
  at("leave").hidden = !api.token;
  at("choose").disabled = !scopes.has("upload") || !offers.takesFiles;
  gallery.refresh();
  allowed.keep();
  clearTimeout(renewal);
  if (!session.offers.length) renewal = setTimeout(renew, RENEW_SECONDS * 1000); // no worker has registered a task yet
}

async function renew() {
  try {
    settle(await api.get("v1/session"));
  } catch {
    renewal = setTimeout(renew, RENEW_SECONDS * 1000); // the feed shows what is wrong
  }
}

const lastStates = new Map();
results.addEventListener("change", ({ detail }) => {
  for (const id of detail.ids) {
    const view = results.get(id);
    const before = lastStates.get(id);
    if (!view) lastStates.delete(id);
    else lastStates.set(id, view.state);
    if (!view || before === undefined || before === view.state || !ended(view)) continue;
    toasts.announce(`${nameOf(view)}: ${{ SUCCESS: "done", FAILURE: "failed", REVOKED: "cancelled" }[view.state]}`);
  }
});

api.addEventListener("unauthenticated", () => {
  if (!feed) return; // `begin` asks for the token
  feed.stop();
  feed = null;
  results.clear();
  begin();
});

at("start").addEventListener("click", async () => {
  const made = await sheet.forTask(offers.free, (task, given) => api.post(`v1/tasks/${encodeURIComponent(task)}`, { arguments: given }, { key: idempotencyKey() }));
  if (!made) return;
  results.put(made);
  toasts.show(`${offers.title(made.task) || made.task} started.`);
});

at("leave").addEventListener("click", () => {
  api.token = "";
  feed?.stop();
  feed = null;
  results.clear();
  begin();
});

takeHandedToken(api);
watchFiles({ veil: at("veil"), choose: at("choose"), input: at("files") }, take);
health.start();
begin();

/** A promise, whether it is resolved (`kept`), and the function to resolve it (`keep`). */
function promised() {
  const one = { kept: false };
  one.promise = new Promise((resolve) => {
    one.keep = () => {
      one.kept = true;
      resolve();
    };
  });
  return one;
}

function debounced(work, ms) {
  let timer = null;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given).catch((error) => toasts.show(sentence(error.message), { bad: true })), ms);
  };
}
