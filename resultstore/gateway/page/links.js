// Links: presigned URLs of Artifacts, cached while they are valid.

const MARGIN_SECONDS = 30;
const AT_ONCE = 4; // of six connections to an HTTP/1.1 origin, one is the event stream and one stays free for user actions

/** Requests URLs from the gateway, a few at a time. */
export class Links {
  #api;
  #known = new Map();
  #running = 0;
  #waiting = [];

  constructor(api) {
    this.#api = api;
  }

  /** A valid URL for display, from the cache if possible. */
  async shown(artifact, { inline = true, fresh = false } = {}) {
    const key = `${artifact.link} ${inline}`;
    const known = this.#known.get(key);
    if (!fresh && known && known.expires_at - MARGIN_SECONDS > Date.now() / 1000) return known.url;
    const link = await this.#limited(() => this.#api.get(artifact.link, { link: 1, inline: inline ? 1 : "" }));
    this.#known.set(key, link);
    return link.url;
  }

  /** A new URL and its expiry, for a download or to be shared. */
  fresh(artifact) {
    return this.#api.get(artifact.link, { link: 1 });
  }

  async #limited(work) {
    if (this.#running >= AT_ONCE) await new Promise((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
