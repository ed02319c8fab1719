// Put: sends a file or a part to a presigned URL. It uses XMLHttpRequest, since fetch reports no upload progress.

const IDLE_SECONDS = 60;
// Headers that only the browser may set (Fetch standard, "forbidden request-header").
const FORBIDDEN_HEADERS = new Set(["content-length", "host"]);

/** A failed PUT; `status` is 0 for a network error. */
export class PutError extends Error {
  constructor(status) {
    super(status ? `the file could not be sent (status ${status})` : "the connection was lost");
    this.status = status;
  }
}

/** Send `blob`; `sent(bytes)` is called with the progress. Rejects with PutError, or AbortError if `signal` aborts. */
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
    for (const [name, value] of Object.entries(headers)) if (!FORBIDDEN_HEADERS.has(name.toLowerCase())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      watch();
      sent(event.loaded);
    };
    request.onload = () => (request.status >= 200 && request.status < 300 ? end(resolve) : end(reject, new PutError(request.status)));
    request.onerror = () => end(reject, new PutError(0));
    request.onabort = () => end(reject, signal.aborted ? new DOMException("stopped", "AbortError") : new PutError(0));
    if (signal.aborted) {
      end(reject, new DOMException("stopped", "AbortError"));
      return;
    }
    signal.addEventListener("abort", stop);
    watch();
    request.send(blob);
  });
}
