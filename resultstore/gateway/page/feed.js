// Feed: keeps Results true: one event stream, restored whenever it breaks, and a list every 30 s as the net below it.

import { Problem, backoff, pause, resultPath } from "./api.js";
import { ended } from "./describe.js";
import { eventsOf } from "./eventstream.js";

const SILENCE_SECONDS = 45; // three heartbeats of 15 s
const LIST_SECONDS = 30;
const SNAPSHOT_SIZE = 200; // what the gateway begins a stream with
const PAGE_SIZE = 100;
const MOST_RESULTS = 2000;

/** Dispatches "state" with `detail` "live", "connecting" or "offline". */
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
    this.#netted();
    // A socket of a machine that went offline says nothing for minutes: look at once.
    window.addEventListener("offline", () => this.#broken?.abort(), { signal: this.#ending.signal });
  }

  stop() {
    this.#ending.abort();
    this.#broken?.abort();
  }

  #broken = null;

  async #follow() {
    let failures = 0;
    while (!this.#ending.signal.aborted) {
      this.#tell(navigator.onLine ? "connecting" : "offline");
      try {
        await this.#stream(() => {
          failures = 0;
          this.#tell("live");
        });
      } catch (error) {
        if (error instanceof Problem && !error.passing) return; // 401: whoever signs in starts anew
      }
      if (this.#ending.signal.aborted) return;
      this.#tell(navigator.onLine ? "connecting" : "offline");
      await pause(backoff(failures), this.#ending.signal);
      failures += 1;
    }
  }

  async #stream(opened) {
    const broken = new AbortController();
    this.#broken = broken;
    let silence = setTimeout(() => broken.abort(), SILENCE_SECONDS * 1000);
    try {
      const headers = { accept: "text/event-stream", ...(this.#lastId ? { "last-event-id": this.#lastId } : {}) };
      const answer = await this.#api.request("v1/events", { headers, signal: broken.signal });
      opened();
      for await (const event of eventsOf(answer.body)) {
        clearTimeout(silence);
        silence = setTimeout(() => broken.abort(), SILENCE_SECONDS * 1000);
        if (event) this.#take(event);
      }
    } finally {
      clearTimeout(silence);
      broken.abort();
    }
  }

  #take({ id, event, content }) {
    if (id) this.#lastId = id;
    const told = content ? JSON.parse(content) : null;
    if (event === "snapshot") {
      const whole = told.items.length < SNAPSHOT_SIZE;
      this.#results.settle(told.items, { whole, complete: told.complete });
      if (!whole) this.#readOn();
    } else if (event === "result") this.#results.put(told);
    else if (event === "change") this.#results.change(told);
    else if (event === "removed") this.#results.remove(told.id);
    else if (event === "reset") this.#list().catch(() => {}); // the next turn of the net lists again
  }

  async #netted() {
    while (!this.#ending.signal.aborted) {
      await pause(LIST_SECONDS, this.#ending.signal);
      if (this.#ending.signal.aborted || document.visibilityState === "hidden") continue;
      try {
        await this.#list();
      } catch (error) {
        if (!(error instanceof Problem)) throw error; // the stream tells people about the connection
      }
    }
  }

  /** The newest page, and each Result beyond it that is still under way here. */
  async #list() {
    const page = await this.#api.get("v1/results", { limit: PAGE_SIZE });
    this.#results.settle(page.items, { whole: !page.next, complete: page.complete });
    const listed = new Set(page.items.map((view) => view.id));
    const open = this.#results.all().filter((view) => !ended(view) && !listed.has(view.id));
    for (const view of open.slice(0, PAGE_SIZE)) await this.#look(view.id);
  }

  async #look(id) {
    try {
      this.#results.put(await this.#api.get(resultPath(id)));
    } catch (error) {
      if (error.status === 404) this.#results.remove(id);
      else throw error;
    }
  }

  /** The older ones, a page at a time, while nobody waits for them. */
  async #readOn() {
    let cursor = "";
    try {
      do {
        const page = await this.#api.get("v1/results", { limit: PAGE_SIZE, cursor });
        page.items.forEach((view) => this.#results.put(view));
        cursor = page.next ?? "";
      } while (cursor && this.#results.all().length < MOST_RESULTS && !this.#ending.signal.aborted);
      this.#results.partial = Boolean(cursor);
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // the next snapshot reads on again
    }
  }

  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
