// Links: presigned URLs of Artifacts: kept while they work, fresh when somebody acts on one.

const MARGIN_SECONDS = 30;
const AT_ONCE = 4; // of six connections to an HTTP/1.1 origin one is the event stream's, and one stays for what people do

/** Asks the gateway for URLs, a few at a time. */
export class Links {
  #api;
  #known = new Map();
  #running = 0;
  #waiting = [];

  constructor(api) {
    this.#api = api;
  }

  /** A URL that works now; one that was asked for before when it still does. */
  async shown(artifact, { inline = true, fresh = false } = {}) {
    const key = `${artifact.link} ${inline}`;
    const known = this.#known.get(key);
    if (!fresh && known && known.expires_at - MARGIN_SECONDS > Date.now() / 1000) return known.url;
    const link = await this.#limited(() => this.#api.get(artifact.link, { link: 1, inline: inline ? 1 : "" }));
    this.#known.set(key, link);
    return link.url;
  }

  /** A new URL with its end, for a download or to be handed on. */
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
