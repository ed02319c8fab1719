// Feed: keeps Results up to date by an event stream, which it reopens, and a listing every 30 s as a safety net.

import { Problem, backoff, pause, resultPath } from "./api.js";
import { ended } from "./describe.js";
import { eventsOf } from "./eventstream.js";

const SILENCE_SECONDS = 45; // three heartbeats of 15 s
const LIST_SECONDS = 30;
const SNAPSHOT_SIZE = 200; // the size of the gateway's snapshot
const PAGE_SIZE = 100;
const MOST_RESULTS = 2000;

/** Dispatches "state" with `detail` "live", "connecting", "offline", or "lost" while the server does not answer. */
export class Feed extends EventTarget {
  #api;
  #results;
  #ending = new AbortController();
  #lastId = null;
  #state = "";

  constructor(api, results) {
    super();
    this.#api = api;
    this.#results = results;
  }

  /** Run until `stop`. */
  start() {
    this.#follow();
    this.#listRegularly();
    // The socket of a machine that went offline reports nothing for minutes: reconnect at once.
    window.addEventListener("offline", () => this.#current?.abort(), { signal: this.#ending.signal });
  }

  stop() {
    this.#ending.abort();
    this.#current?.abort();
  }

  #current = null;

  async #follow() {
    let failures = 0;
    let lost = false;
    while (!this.#ending.signal.aborted) {
      this.#setState(!navigator.onLine ? "offline" : lost ? "lost" : "connecting");
      try {
        await this.#stream(() => {
          failures = 0;
          lost = false;
          this.#setState("live");
        });
      } catch (error) {
        if (error instanceof Problem && !error.temporary) return; // 401: signing in starts a new feed
        lost ||= error instanceof Problem && failures > 0; // the first one may be a restart
      }
      if (this.#ending.signal.aborted) return;
      this.#setState(!navigator.onLine ? "offline" : lost ? "lost" : "connecting");
      await pause(backoff(failures), this.#ending.signal);
      failures += 1;
    }
  }

  async #stream(opened) {
    const connection = new AbortController();
    this.#current = connection;
    let silence = setTimeout(() => connection.abort(), SILENCE_SECONDS * 1000);
    try {
      const headers = { accept: "text/event-stream", ...(this.#lastId ? { "last-event-id": this.#lastId } : {}) };
      const response = await this.#api.request("v1/events", { headers, signal: connection.signal });
      opened();
      for await (const event of eventsOf(response.body)) {
        clearTimeout(silence);
        silence = setTimeout(() => connection.abort(), SILENCE_SECONDS * 1000);
        if (event) this.#take(event);
      }
    } finally {
      clearTimeout(silence);
      connection.abort();
    }
  }

  #take({ id, event, content }) {
    if (id) this.#lastId = id;
    const message = content ? JSON.parse(content) : null;
    if (event === "snapshot") {
      const whole = message.items.length < SNAPSHOT_SIZE;
      this.#results.settle(message.items, { whole, complete: message.complete });
      if (!whole) this.#loadOlder();
    } else if (event === "result") this.#results.put(message);
    else if (event === "change") this.#results.change(message);
    else if (event === "removed") this.#results.remove(message.id);
    else if (event === "reset") this.#list().catch(() => {}); // the next regular listing tries again
  }

  async #listRegularly() {
    while (!this.#ending.signal.aborted) {
      await pause(LIST_SECONDS, this.#ending.signal);
      if (this.#ending.signal.aborted || document.visibilityState === "hidden") continue;
      try {
        await this.#list();
      } catch (error) {
        if (!(error instanceof Problem)) throw error; // the state of the stream shows it
      }
    }
  }

  /** Load the newest page, and each unfinished Result that is not on it. */
  async #list() {
    const page = await this.#api.get("v1/results", { limit: PAGE_SIZE });
    this.#results.settle(page.items, { whole: !page.next, complete: page.complete });
    const listed = new Set(page.items.map((view) => view.id));
    const open = this.#results.all().filter((view) => !ended(view) && !listed.has(view.id));
    for (const view of open.slice(0, PAGE_SIZE)) await this.#reload(view.id);
  }

  async #reload(id) {
    try {
      this.#results.put(await this.#api.get(resultPath(id)));
    } catch (error) {
      if (error.status === 404) this.#results.remove(id);
      else throw error;
    }
  }

  /** Load older Results in the background, page by page. */
  async #loadOlder() {
    let cursor = "";
    try {
      do {
        const page = await this.#api.get("v1/results", { limit: PAGE_SIZE, cursor });
        page.items.forEach((view) => this.#results.put(view));
        cursor = page.next ?? "";
      } while (cursor && this.#results.all().length < MOST_RESULTS && !this.#ending.signal.aborted);
      this.#results.partial = Boolean(cursor);
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // the next snapshot tries again
    }
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
