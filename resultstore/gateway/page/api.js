// Api: speaks HTTP with the gateway: the token, problems as errors, and what may be asked again.

const TOKEN = "resultstore.token";

/** The gateway's own root, which may lie below a path of its host. */
export const ROOT = new URL("..", import.meta.url);

/** What the gateway refused (RFC 9457), or that it could not be reached (status 0). */
export class Problem extends Error {
  constructor(status, slug, detail, retryAfterSeconds = null) {
    super(detail);
    this.status = status;
    this.slug = slug;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** Whether the same request may well be answered a little later. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The header by which an upload goes on although the gateway's index was lost. */
function held(ticket) {
  return ticket ? { "upload-ticket": ticket } : {};
}

/** The gateway. Dispatches "unauthenticated" when it does not know the caller (any more). */
export class Api extends EventTarget {
  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  }

  get(path, query = {}, { ticket = null } = {}) {
    const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined));
    return this.#json(asked.size ? `${path}?${asked}` : path, { method: "GET", headers: held(ticket) });
  }

  post(path, body = {}, { key = null, ticket = null } = {}) {
    const headers = { "content-type": "application/json", ...(key ? { "idempotency-key": key } : {}), ...held(ticket) };
    return this.#json(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  /** `keepalive` lets it arrive although the page is being left. */
  delete(path, { keepalive = false, ticket = null } = {}) {
    return this.#json(path, { method: "DELETE", keepalive, headers: held(ticket) });
  }

  /** A fetch with the token; a path without a slash at its beginning is one below the gateway. Raises Problem. */
  async request(path, { headers = {}, ...init } = {}) {
    const signed = this.token ? { ...headers, authorization: `Bearer ${this.token}` } : headers;
    let answer;
    try {
      answer = await fetch(new URL(path, ROOT), { ...init, headers: signed, credentials: "omit", cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "unreachable", "the gateway cannot be reached");
    }
    if (!answer.ok) throw await this.#refusal(answer);
    return answer;
  }

  async #json(path, init) {
    const answer = await this.request(path, init);
    return answer.status === 204 ? null : answer.json();
  }

  async #refusal(answer) {
    let told = {};
    try {
      told = await answer.json();
    } catch {
      // A proxy's own page: the status alone speaks.
    }
    if (answer.status === 401) this.dispatchEvent(new Event("unauthenticated"));
    const after = Number(answer.headers.get("retry-after"));
    const detail = typeof told.detail === "string" && told.detail ? told.detail : `the gateway answered ${answer.status}`;
    return new Problem(answer.status, told.slug ?? "http-error", detail, after > 0 ? after : null);
  }
}

/** The path of a Result or of what lies below it. */
export function resultPath(id, ...below) {
  return ["v1/results", ...[id, ...below].map(encodeURIComponent)].join("/");
}

/** A key that makes a POST safe to repeat; 128 random bits. */
export function idempotencyKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Wait, but not longer than until `signal` aborts or the browser is online again. */
export function pause(seconds, signal = null) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    window.addEventListener("online", done);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}

/** Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter"), in seconds. */
export function backoff(failures, { first = 0.5, most = 15 } = {}) {
  const ceiling = Math.min(most, first * 2 ** Math.min(failures, 10));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}
