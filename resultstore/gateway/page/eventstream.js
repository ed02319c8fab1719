// Eventstream: reads server-sent events from a fetch, since EventSource cannot send a token.

/**
 * The events of a body as {id, event, content}, and `null` for each comment (a heartbeat).
 *
 * The format: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
 */
export async function* eventsOf(body) {
  let event = blank();
  for await (const line of linesOf(body)) {
    if (line === "") {
      if (event.content !== null) yield event;
      event = { ...blank(), id: event.id };
    } else if (line.startsWith(":")) {
      yield null;
    } else {
      take(event, line);
    }
  }
}

function blank() {
  return { id: null, event: "message", content: null };
}

function take(event, line) {
  const colon = line.indexOf(":");
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (field === "id") event.id = value;
  else if (field === "event") event.event = value;
  else if (field === "data") event.content = event.content === null ? value : `${event.content}\n${value}`;
}

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have failed already
  }
}
