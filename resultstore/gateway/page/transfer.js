// Transfer: one file on its way: a ticket, its pieces, the word that it is complete; can rest, and outlives an outage.

import { Problem, backoff, idempotencyKey, pause } from "./api.js";
import { NotTaken, put } from "./put.js";
import { typeOf } from "./offers.js";
import { Rate } from "./rate.js";

const AT_ONCE = 3;
const MOST_FAILURES = 8; // in a row, without a piece taken in between, while online

/** Dispatches "change". `state`: queued asking sending waiting paused finishing done failed cancelled. */
export class Transfer extends EventTarget {
  state = "queued";
  id = null;
  view = null;
  error = "";
  #api;
  #order;
  #limits;
  #key = idempotencyKey();
  #signed = null;
  #run = null;
  #inFlight = new Map();
  #takenBytes = 0;
  #rate = new Rate();
  #failures = 0;

  /** `order` is {task, options}; `id` continues an upload that another page began. */
  constructor(api, file, { order = null, limits = {}, id = null }) {
    super();
    this.#api = api;
    this.file = file;
    this.#order = order;
    this.#limits = limits;
    this.id = id;
  }

  get sentBytes() {
    return Math.min(this.file.size, this.#takenBytes + [...this.#inFlight.values()].reduce((sum, one) => sum + one, 0));
  }

  get percent() {
    return this.file.size ? (100 * this.sentBytes) / this.file.size : 100;
  }

  /** Bytes a second, lately; and seconds to go at that rate, or null. */
  get rate() {
    return this.state === "sending" ? this.#rate.perSecond : 0;
  }

  get leftSeconds() {
    return this.rate > 0 ? (this.file.size - this.sentBytes) / this.rate : null;
  }

  get over() {
    return this.state === "done" || this.state === "failed" || this.state === "cancelled";
  }

  /** Begin, or go on after a pause or a failure. */
  async start() {
    if (this.#run) return;
    this.#run = new AbortController();
    this.#failures = 0;
    this.error = "";
    const { signal } = this.#run;
    try {
      await this.#whole(signal);
    } catch (error) {
      if (signal.aborted) return; // whoever aborted has said what it is now
      this.#run = null;
      this.error = error.message;
      this.#move("failed");
    }
  }

  pause() {
    if (this.over || this.state === "finishing") return;
    this.#stop();
    this.#move("paused");
  }

  /** Give it up, here and at the gateway. */
  async cancel() {
    this.#stop();
    this.#move("cancelled");
    if (!this.id) return;
    try {
      await this.#api.delete(`v1/uploads/${encodeURIComponent(this.id)}`, { ticket: this.#signed });
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // what stays is collected by the reconciler
    }
  }

  async #whole(signal) {
    this.#move("asking");
    const ticket = await this.#patient(signal, () => this.#ticket(signal));
    await this.#send(ticket, signal);
    this.#move("finishing");
    this.view = await this.#patient(signal, () => this.#api.post(`v1/uploads/${encodeURIComponent(this.id)}/complete`, {}, { ticket: this.#signed }));
    this.#run = null;
    this.#move("done");
  }

  async #ticket(signal) {
    if (this.id) return this.#api.get(`v1/uploads/${encodeURIComponent(this.id)}`, {}, { ticket: this.#signed });
    const sha256 = await digestOf(this.file, this.#limits.single_put_max_bytes ?? 0);
    signal.throwIfAborted();
    const asked = { name: this.file.name, size_bytes: this.file.size, media_type: typeOf(this.file), ...this.#order };
    const ticket = await this.#api.post("v1/uploads", sha256 ? { ...asked, sha256 } : asked, { key: this.#key });
    this.id = ticket.id;
    this.#signed = ticket.ticket;
    return ticket;
  }

  /** Send what is missing; ask for fresh URLs whenever these do not serve any more. */
  async #send(first, signal) {
    let ticket = first;
    for (;;) {
      const missing = this.#missing(ticket);
      if (!missing.length) return;
      this.#move("sending");
      const failure = await this.#sendAll(missing, signal);
      signal.throwIfAborted();
      if (!failure && this.#complete(ticket)) return;
      if (failure) await this.#rest(failure, signal);
      ticket = await this.#patient(signal, () => this.#ticket(signal));
    }
  }

  /** The pieces that the store has not: [{key, url, headers, blob}]. */
  #missing(ticket) {
    if (!ticket.parts) {
      const there = ticket.state !== "UPLOADING" || (ticket.received ?? []).length > 0;
      this.#takenBytes = there ? this.file.size : 0;
      return there || !ticket.url ? [] : [{ key: 1, url: ticket.url, headers: ticket.headers, blob: this.file }];
    }
    const { part_size_bytes: step, urls } = ticket.parts;
    const received = ticket.received ?? [];
    const taken = new Set(received.map((one) => one.number));
    this.#takenBytes = received.reduce((sum, one) => sum + one.size_bytes, 0);
    return urls.filter((one) => !taken.has(one.number)).map(({ number, url, headers }) => {
      const start = (number - 1) * step;
      return { key: number, url, headers, blob: this.file.slice(start, start + step) };
    });
  }

  #complete(ticket) {
    return !ticket.parts || this.#takenBytes >= this.file.size;
  }

  /** Some at a time; gives the first failure, when the others have ended too. */
  async #sendAll(pieces, signal) {
    const queue = [...pieces];
    let failure = null;
    const lane = async () => {
      while (queue.length && !failure) {
        const piece = queue.shift();
        try {
          await this.#piece(piece, signal);
        } catch (error) {
          failure ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return failure;
  }

  async #piece({ key, url, headers, blob }, signal) {
    try {
      await put(url, blob, { headers, signal, sent: (bytes) => this.#sent(key, Math.min(bytes, blob.size)) });
    } catch (error) {
      // 412: it is there already, an answer to an earlier try was lost. The gateway looks at what it is.
      if (!(error instanceof NotTaken && error.status === 412)) throw error;
    } finally {
      this.#inFlight.delete(key);
    }
    this.#takenBytes += blob.size;
    this.#failures = 0;
    this.#sent(key, 0);
  }

  #sent(key, bytes) {
    if (bytes) this.#inFlight.set(key, bytes);
    this.#rate.note(this.sentBytes);
    this.dispatchEvent(new Event("change"));
  }

  /** Ask until it is answered; a refusal is final. */
  async #patient(signal, ask) {
    for (;;) {
      try {
        const answer = await ask();
        signal.throwIfAborted();
        return answer;
      } catch (error) {
        if (signal.aborted || !(error instanceof Problem) || !error.passing) throw error;
        await this.#rest(error, signal);
      }
    }
  }

  async #rest(failure, signal) {
    if (!(failure instanceof NotTaken || failure instanceof Problem)) throw failure;
    const refused = failure instanceof NotTaken && failure.status >= 400 && failure.status < 500 && failure.status !== 403 && failure.status !== 408;
    if (refused) throw failure;
    if (navigator.onLine && failure.status !== 429) this.#failures += 1; // a quota says when to come again
    if (this.#failures > MOST_FAILURES) throw failure;
    this.#move("waiting");
    this.#rate = new Rate();
    await pause(navigator.onLine ? (failure.retryAfterSeconds ?? backoff(this.#failures)) : 3600, signal);
    signal.throwIfAborted();
  }

  #stop() {
    this.#run?.abort();
    this.#run = null;
    this.#inFlight.clear();
    this.#rate = new Rate();
  }

  #move(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}

/** The sha256 in hex, where the whole may be held in memory and the browser can compute it; else "". */
async function digestOf(file, most) {
  if (file.size > most || !globalThis.crypto?.subtle) return "";
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
