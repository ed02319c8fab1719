// Describe: the name, the state and the preview of a Result, derived from its view.

import { count } from "./format.js";

const ENDED = new Set(["SUCCESS", "FAILURE", "REVOKED"]);
const PREVIEW_ROLES = new Set(["cover", "poster", "preview", "thumbnail"]);

const STATE_TEXTS = {
  UPLOADING: "Uploading",
  VERIFYING: "Checking",
  PENDING: "Queued",
  RECEIVED: "Queued",
  STARTED: "Running",
  PROGRESS: "Running",
  RETRY: "Retrying",
  SUCCESS: "Done",
  FAILURE: "Failed",
  REVOKED: "Cancelled",
};

export const GROUPS = [
  { key: "all", label: "All", holds: () => true },
  { key: "working", label: "Active", holds: (view) => !ended(view) && !interrupted(view) },
  { key: "done", label: "Done", holds: (view) => view.state === "SUCCESS" },
  { key: "failed", label: "Failed", holds: (view) => view.state === "FAILURE" || view.state === "REVOKED" || interrupted(view) },
];

/** Whether the state is final. */
export function ended(view) {
  return ENDED.has(view.state);
}

/** Whether its upload has stopped, and waits for the user. */
export function interrupted(view) {
  return view.state === "UPLOADING" && !view.sending;
}

/** "bad", "done", "busy" or "idle": the colour of the state. */
export function tone(view) {
  if (view.state === "FAILURE") return "bad";
  if (view.state === "REVOKED") return "idle";
  if (view.state === "SUCCESS") return "done";
  return interrupted(view) || view.state === "PENDING" || view.state === "RECEIVED" ? "idle" : "busy";
}

/** The text of the state, with a percentage while it is known. */
export function stateText(view) {
  if (interrupted(view)) return "Upload interrupted";
  const text = STATE_TEXTS[view.state] ?? view.state.toLowerCase();
  const percent = percentOf(view);
  return percent === null ? text : `${text} ${Math.floor(percent)} %`;
}

/** The progress from 0 to 100, or null if it is unknown or the task does not run. */
export function percentOf(view) {
  if (ended(view) || view.state === "PENDING" || view.state === "RECEIVED") return null;
  if (view.state === "UPLOADING") return view.sending?.percent ?? null;
  return view.progress?.percent ?? null;
}

/** The output Artifacts, without the uploaded input file. */
export function outputs(view) {
  return (view.artifacts ?? []).filter((one) => !isInput(one));
}

/**
 * The main Artifact, or undefined.
 *
 * The first that is neither an image nor JSON, since those accompany the main output (a poster, the head of a table).
 * If there are only images, the widest one. If there is nothing but previews, the uploaded file, which was stored as it is.
 */
export function mainOf(view) {
  const made = outputs(view);
  const source = view.state === "SUCCESS" ? inputOf(view) : null;
  if (source && made.every((one) => PREVIEW_ROLES.has(one.metadata?.role))) return source;
  const things = made.filter((one) => !/^image\/|^application\/json/.test(one.media_type));
  const widest = made.reduce((best, one) => ((one.metadata?.width ?? 0) > (best?.metadata?.width ?? 0) ? one : best), made[0]);
  return things[0] ?? widest;
}

/** The uploaded input file, or null. */
export function inputOf(view) {
  return view.input ?? (view.artifacts ?? []).find(isInput) ?? null;
}

function isInput(artifact) {
  return artifact.metadata?.role === "input";
}

/** The files that a download of the whole Result contains: the outputs, or the uploaded file if that is the main one. */
export function filesOf(view) {
  if (view.state !== "SUCCESS") return [];
  const main = mainOf(view);
  return main && isInput(main) ? [main] : outputs(view);
}

/** The display name: the uploaded file, else the main output, else the task (`titles` maps task names to titles). */
export function nameOf(view, titles = () => "") {
  return view.upload?.name || inputOf(view)?.file_name || mainOf(view)?.file_name || view.title || titles(view.task) || view.task || view.id;
}

/** The sizes of input and output, null where unknown. */
export function sizesOf(view) {
  const made = outputs(view);
  return {
    in: inputOf(view)?.size_bytes ?? view.upload?.size_bytes ?? null,
    out: made.length ? made.reduce((sum, one) => sum + one.size_bytes, 0) : null,
  };
}

/** The dimensions of an Artifact: width x height, pages, rows and columns, or duration. */
export function shapeOf(artifact) {
  const known = artifact.metadata ?? {};
  const parts = [];
  if (known.width && known.height) parts.push(`${known.width} × ${known.height}`);
  if (known.pages) parts.push(`${known.pages} ${known.pages === 1 ? "page" : "pages"}`);
  if (known.rows) parts.push(`${count(known.rows, "row")}`);
  if (known.columns) parts.push(`${count(known.columns, "column")}`);
  if (known.duration_s) parts.push(`${Number(known.duration_s).toFixed(1)} s`);
  return parts.join(", ");
}

const ENOUGH_PX = 480;

/**
 * What a card shows: {kind, artifact?, facts?}.
 *
 * Of several images, the smallest that is still sharp on a card: a gallery must not load originals.
 */
export function previewOf(view) {
  const made = outputs(view);
  const source = ended(view) ? inputOf(view) : null; // the record of a task that has just begun does not list it
  const model = made.find((one) => typeof one.metadata?.accuracy === "number");
  if (model) return { kind: "model", artifact: model, facts: model.metadata };
  const video = made.find((one) => one.media_type.startsWith("video/"));
  const picture = bestPicture(made);
  const paper = [...made, source].some((one) => one?.media_type === "application/pdf");
  if (picture) return { kind: video ? "video" : paper ? "cover" : "picture", artifact: picture };
  if (video) return { kind: "video", artifact: null };
  const pdf = made.find((one) => one.media_type === "application/pdf");
  if (pdf) return { kind: "pdf", artifact: pdf, facts: pdf.metadata };
  const table = [...made, source].find((one) => one && /^text\/(csv|tab-separated-values)/.test(one.media_type));
  const rows = made.find((one) => one.metadata?.rows);
  if (table || rows) return { kind: "table", artifact: table ?? null, facts: rows?.metadata ?? table?.metadata };
  if (source && isPicture(source)) return { kind: "picture", artifact: source };
  const sent = view.upload ? { media_type: view.upload.media_type ?? "", file_name: view.upload.name } : null;
  return { kind: "file", artifact: made[0] ?? source ?? sent, facts: {} };
}

/** The image for the detail view: the widest of at most 2,400 pixels, else the image of the card. */
export function closeUpOf(view) {
  const wide = outputs(view).filter((one) => isPicture(one) && (one.metadata?.width ?? 0) <= 2400);
  return wide.sort((a, b) => (b.metadata?.width ?? 0) - (a.metadata?.width ?? 0))[0] ?? previewOf(view).artifact;
}

/** The video or audio file that the browser can play, or null. */
export function playable(view) {
  return outputs(view).find((one) => one.previewable && /^(video|audio)\//.test(one.media_type)) ?? null;
}

function isPicture(artifact) {
  return artifact.previewable !== false && /^image\/(png|jpeg|gif|webp|avif)$/.test(artifact.media_type);
}

function bestPicture(artifacts) {
  const pictures = artifacts.filter(isPicture);
  const meant = pictures.find((one) => PREVIEW_ROLES.has(one.metadata?.role));
  if (meant) return meant;
  const byWidth = pictures.sort((a, b) => (a.metadata?.width ?? 0) - (b.metadata?.width ?? 0));
  return byWidth.find((one) => (one.metadata?.width ?? 0) >= ENOUGH_PX) ?? byWidth.at(-1) ?? null;
}
