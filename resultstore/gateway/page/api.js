// Api: HTTP requests to the gateway, with the token, errors as Problem, and back-off.

const TOKEN = "resultstore.token";

/** The gateway's root URL, which may have a path. */
export const ROOT = new URL("..", import.meta.url);

/** An error response of the gateway (RFC 9457); status 0 if the gateway is unreachable. */
export class Problem extends Error {
  constructor(status, slug, detail, retryAfterSeconds = null) {
    super(detail);
    this.status = status;
    this.slug = slug;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** Whether the same request may succeed later. */
  get temporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The header with which an upload continues after the gateway has lost its index. */
function ticketHeader(ticket) {
  return ticket ? { "upload-ticket": ticket } : {};
}

/** The gateway. Dispatches "unauthenticated" when the token is missing or no longer valid. */
export class Api extends EventTarget {
  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  }

  get(path, query = {}, { ticket = null } = {}) {
    const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined));
    return this.#json(search.size ? `${path}?${search}` : path, { method: "GET", headers: ticketHeader(ticket) });
  }

  post(path, body = {}, { key = null, ticket = null } = {}) {
    const headers = { "content-type": "application/json", ...(key ? { "idempotency-key": key } : {}), ...ticketHeader(ticket) };
    return this.#json(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  /** `keepalive` sends the request even while the page is being closed. */
  delete(path, { keepalive = false, ticket = null } = {}) {
    return this.#json(path, { method: "DELETE", keepalive, headers: ticketHeader(ticket) });
  }

  /** A fetch with the token; a path without a leading slash is relative to the gateway's root. Throws Problem. */
  async request(path, { headers = {}, ...init } = {}) {
    const authorized = this.token ? { ...headers, authorization: `Bearer ${this.token}` } : headers;
    let response;
    try {
      response = await fetch(new URL(path, ROOT), { ...init, headers: authorized, credentials: "same-origin", cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "unreachable", "the server does not answer");
    }
    if (!response.ok) throw await this.#problemOf(response);
    return response;
  }

  async #json(path, init) {
    const response = await this.request(path, init);
    return response.status === 204 ? null : response.json();
  }

  async #problemOf(response) {
    let body = {};
    try {
      body = await response.json();
    } catch {
      // Not JSON, such as the error page of a proxy: only the status is known.
    }
    if (response.status === 401) this.dispatchEvent(new Event("unauthenticated"));
    const after = Number(response.headers.get("retry-after"));
    const detail = typeof body.detail === "string" && body.detail ? body.detail : `the server responded with status ${response.status}`;
    return new Problem(response.status, body.slug ?? "http-error", detail, after > 0 ? after : null);
  }
}

/** The path of a Result or of one of its sub-resources. */
export function resultPath(id, ...below) {
  return ["v1/results", ...[id, ...below].map(encodeURIComponent)].join("/");
}

/** A key that makes a POST safe to repeat; 128 random bits. */
export function idempotencyKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Wait, at most until `signal` aborts or the browser is online again. */
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
