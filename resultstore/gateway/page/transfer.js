// Transfer: the upload of one file, from ticket to completion; it can be paused and survives an outage.

import { Problem, backoff, idempotencyKey, pause } from "./api.js";
import { PutError, put } from "./put.js";
import { typeOf } from "./offers.js";
import { Rate } from "./rate.js";

const AT_ONCE = 3;
const MOST_FAILURES = 8; // in a row, while online

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

  /** `order` is {task, options}; `id` continues an upload that another page started. */
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

  /** The recent rate in bytes per second. */
  get rate() {
    return this.state === "sending" ? this.#rate.perSecond : 0;
  }

  get leftSeconds() {
    return this.rate > 0 ? (this.file.size - this.sentBytes) / this.rate : null;
  }

  get over() {
    return this.state === "done" || this.state === "failed" || this.state === "cancelled";
  }

  /** Start, or resume after a pause or a failure. */
  async start() {
    if (this.#run) return;
    this.#run = new AbortController();
    this.#failures = 0;
    this.error = "";
    const { signal } = this.#run;
    try {
      await this.#upload(signal);
    } catch (error) {
      if (signal.aborted) return; // `pause` and `cancel` have set the state
      this.#run = null;
      this.error = error.message;
      this.#setState("failed");
    }
  }

  pause() {
    if (this.over || this.state === "finishing") return;
    this.#stop();
    this.#setState("paused");
  }

  /** Cancel the upload, also at the gateway. */
  async cancel() {
    this.#stop();
    this.#setState("cancelled");
    if (!this.id) return;
    try {
      await this.#api.delete(`v1/uploads/${encodeURIComponent(this.id)}`, { ticket: this.#signed });
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // the reconciler cleans up later
    }
  }

  async #upload(signal) {
    this.#setState("asking");
    const ticket = await this.#retrying(signal, () => this.#ticket(signal));
    await this.#send(ticket, signal);
    this.#setState("finishing");
    this.view = await this.#retrying(signal, () => this.#api.post(`v1/uploads/${encodeURIComponent(this.id)}/complete`, {}, { ticket: this.#signed }));
    this.#run = null;
    this.#setState("done");
  }

  async #ticket(signal) {
    if (this.id) return this.#api.get(`v1/uploads/${encodeURIComponent(this.id)}`, {}, { ticket: this.#signed });
    const sha256 = await digestOf(this.file, this.#limits.single_put_max_bytes ?? 0);
    signal.throwIfAborted();
    const request = { name: this.file.name, size_bytes: this.file.size, media_type: typeOf(this.file), ...this.#order };
    const ticket = await this.#api.post("v1/uploads", sha256 ? { ...request, sha256 } : request, { key: this.#key });
    this.id = ticket.id;
    this.#signed = ticket.ticket;
    return ticket;
  }

  /** Send the missing parts; request new URLs when the old ones fail or are used up. */
  async #send(first, signal) {
    let ticket = first;
    for (;;) {
      const missing = this.#missing(ticket);
      if (!missing.length) return;
      this.#setState("sending");
      const failure = await this.#sendAll(missing, signal);
      signal.throwIfAborted();
      if (!failure && this.#complete(ticket)) return;
      if (failure) await this.#waitAfter(failure, signal);
      ticket = await this.#retrying(signal, () => this.#ticket(signal));
    }
  }

  /** The parts that the store lacks: [{key, url, headers, blob}]. */
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

  /** Send a few at a time; resolves with the first failure when the others have ended too. */
  async #sendAll(parts, signal) {
    const queue = [...parts];
    let failure = null;
    const lane = async () => {
      while (queue.length && !failure) {
        const part = queue.shift();
        try {
          await this.#sendPart(part, signal);
        } catch (error) {
          failure ??= error;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return failure;
  }

  async #sendPart({ key, url, headers, blob }, signal) {
    try {
      await put(url, blob, { headers, signal, sent: (bytes) => this.#sent(key, Math.min(bytes, blob.size)) });
    } catch (error) {
      // 412: already uploaded, the response to an earlier try was lost. The gateway checks the bytes.
      if (!(error instanceof PutError && error.status === 412)) throw error;
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

  /** Repeat a request until it succeeds; a refusal is final. */
  async #retrying(signal, ask) {
    for (;;) {
      try {
        const response = await ask();
        signal.throwIfAborted();
        return response;
      } catch (error) {
        if (signal.aborted || !(error instanceof Problem) || !error.temporary) throw error;
        await this.#waitAfter(error, signal);
      }
    }
  }

  async #waitAfter(failure, signal) {
    if (!(failure instanceof PutError || failure instanceof Problem)) throw failure;
    const refused = failure instanceof PutError && failure.status >= 400 && failure.status < 500 && failure.status !== 403 && failure.status !== 408;
    if (refused) throw failure;
    if (navigator.onLine && failure.status !== 429) this.#failures += 1; // with 429 the gateway says when to retry
    if (this.#failures > MOST_FAILURES) throw failure;
    this.#setState("waiting");
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

  #setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}

/** The sha256 in hex, or "" if the file is too large for memory or the browser cannot compute it. */
async function digestOf(file, most) {
  if (file.size > most || !globalThis.crypto?.subtle) return "";
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
