// Timeline: the steps of a Result, in order, with the time between them.

import { ended, interrupted } from "./describe.js";
import { h } from "./dom.js";
import { count, expiry, fullMoment, isoMoment, moment, span } from "./format.js";

/** A list of steps. */
export function timelineOf(view) {
  const steps = stepsOf(view).map(({ name, at, after, tone, note }) => h("li", { "data-tone": tone },
    h("div", {}, h("strong", {}, name), note && h("p", { class: "soft" }, note)),
    h("div", { class: "when digits" }, at && h("time", { datetime: isoMoment(at), title: fullMoment(at) }, moment(at)), after && h("span", { class: "soft" }, after))));
  return h("ol", { class: "timeline" }, steps);
}

function stepsOf(view) {
  const { created_at: made, started_at: started, ended_at: over } = view;
  const uploaded = Boolean(view.upload || view.input);
  const steps = [{ name: uploaded ? "Upload started" : "Queued", at: made, tone: "done" }];
  if (interrupted(view)) steps.push({ name: "Upload interrupted", tone: "idle", note: "Press Resume and choose the same file again." });
  else if (view.state === "UPLOADING") steps.push({ name: "Uploading", tone: "busy" });
  if (view.state === "VERIFYING") steps.push({ name: "Checking size and type", tone: "busy" });
  if (view.state === "PENDING" || view.state === "RECEIVED") steps.push({ name: "Waiting for a worker", tone: "busy" });
  if (started) steps.push({ name: "Task started", at: started, tone: "done", after: span(view.queue_time_s ?? started - made), note: view.worker ? `on ${view.worker}` : "" });
  if (view.retries) steps.push({ name: `Retried ${count(view.retries, "time")}`, tone: "idle" });
  if (started && !ended(view)) steps.push({ name: "Running", tone: "busy", note: view.progress?.note });
  if (ended(view)) steps.push(lastOf(view, over, started));
  if (view.state === "SUCCESS" && view.expires_at) steps.push({ name: "Expires", at: view.expires_at, tone: "idle", after: expiry(view.expires_at) });
  return steps;
}

function lastOf(view, over, started) {
  const after = started && over ? span(view.run_time_s ?? over - started) : "";
  if (view.state === "SUCCESS") return { name: "Done", at: over, after, tone: "done" };
  if (view.state === "REVOKED") return { name: "Cancelled", at: over, after, tone: "idle" };
  return { name: "Failed", at: over, after, tone: "bad" };
}
