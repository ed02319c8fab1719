// Put: sends one piece of a file by a signed URL. XMLHttpRequest, because a fetch does not tell how much it has sent.

const IDLE_SECONDS = 60;
// What a browser sets itself and forbids a page to set (Fetch standard, "forbidden request-header").
const BROWSERS_OWN = new Set(["content-length", "host"]);

/** A piece that was not taken: `status` 0 when the network broke. */
export class NotTaken extends Error {
  constructor(status) {
    super(status ? `the store answered ${status}` : "the connection broke");
    this.status = status;
  }
}

/** Send `blob`; `sent(bytes)` hears how far it is. Raises NotTaken, or AbortError when `signal` aborts. */
export function put(url, blob, { headers = {}, signal, sent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let idle = null;
    const watch = () => {
      clearTimeout(idle);
      idle = setTimeout(() => request.abort(), IDLE_SECONDS * 1000);
    };
    const end = (settle, value) => {
      clearTimeout(idle);
      signal.removeEventListener("abort", stop);
      settle(value);
    };
    const stop = () => request.abort();
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) if (!BROWSERS_OWN.has(name.toLowerCase())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      watch();
      sent(event.loaded);
    };
    request.onload = () => (request.status >= 200 && request.status < 300 ? end(resolve) : end(reject, new NotTaken(request.status)));
    request.onerror = () => end(reject, new NotTaken(0));
    request.onabort = () => end(reject, signal.aborted ? new DOMException("stopped", "AbortError") : new NotTaken(0));
    if (signal.aborted) {
      end(reject, new DOMException("stopped", "AbortError"));
      return;
    }
    signal.addEventListener("abort", stop);
    watch();
    request.send(blob);
  });
}
