// Describe: what a Result is called, what state it is in, and what it can show, from its view alone.

const ENDED = new Set(["SUCCESS", "FAILURE", "REVOKED"]);

const WORDS = {
  UPLOADING: "Uploading",
  VERIFYING: "Checking",
  PENDING: "Waiting",
  RECEIVED: "Waiting",
  STARTED: "Working",
  PROGRESS: "Working",
  RETRY: "Trying again",
  SUCCESS: "Done",
  FAILURE: "Failed",
  REVOKED: "Cancelled",
};

export const GROUPS = [
  { key: "all", label: "All", holds: () => true },
  { key: "working", label: "Working", holds: (view) => !ended(view) },
  { key: "done", label: "Done", holds: (view) => view.state === "SUCCESS" },
  { key: "failed", label: "Failed", holds: (view) => view.state === "FAILURE" || view.state === "REVOKED" },
];

/** Whether the state will not change any more by itself. */
export function ended(view) {
  return ENDED.has(view.state);
}

/** "bad", "done", "busy" or "idle": how the state is coloured. */
export function tone(view) {
  if (view.state === "FAILURE") return "bad";
  if (view.state === "REVOKED") return "idle";
  if (view.state === "SUCCESS") return "done";
  return view.state === "PENDING" || view.state === "RECEIVED" ? "idle" : "busy";
}

/** What the pill says: a word, and how far it is. */
export function stateText(view) {
  if (view.state === "UPLOADING" && !view.sending) return "Upload unfinished";
  const word = WORDS[view.state] ?? view.state.toLowerCase();
  const percent = percentOf(view);
  return percent === null ? word : `${word} ${Math.floor(percent)} %`;
}

/** 0 to 100 while it is known and something moves, else null. */
export function percentOf(view) {
  if (ended(view) || view.state === "PENDING" || view.state === "RECEIVED") return null;
  if (view.state === "UPLOADING") return view.sending?.percent ?? null;
  return view.progress?.percent ?? null;
}

/** What a Result made: its Artifacts without the upload that it was given. */
export function outputs(view) {
  return (view.artifacts ?? []).filter((one) => !isInput(one));
}

/**
 * The Artifact that people mean, or undefined.
 *
 * Of pictures alone the widest, as small ones are made first; else the first that is not there to be looked at or read
 * beside the thing itself (a poster, the head of a table).
 */
export function mainOf(view) {
  const made = outputs(view);
  const things = made.filter((one) => !/^image\/|^application\/json/.test(one.media_type));
  const widest = made.reduce((best, one) => ((one.metadata?.width ?? 0) > (best?.metadata?.width ?? 0) ? one : best), made[0]);
  return things[0] ?? widest;
}

/** The upload that it was given, or null. */
export function inputOf(view) {
  return view.input ?? (view.artifacts ?? []).find(isInput) ?? null;
}

function isInput(artifact) {
  return artifact.metadata?.role === "input";
}

/** What people call it: the file that came in, else what came out, else the task (`titles` by its name). */
export function nameOf(view, titles = () => "") {
  return view.upload?.name || inputOf(view)?.file_name || mainOf(view)?.file_name || view.title || titles(view.task) || view.task || view.id;
}

/** Sizes in and out, as far as they are known. */
export function sizesOf(view) {
  const made = outputs(view);
  return {
    in: inputOf(view)?.size_bytes ?? view.upload?.size_bytes ?? null,
    out: made.length ? made.reduce((sum, one) => sum + one.size_bytes, 0) : null,
  };
}

/** Width x height, pages, rows or length: what tells most about an Artifact. */
export function shapeOf(artifact) {
  const known = artifact.metadata ?? {};
  const parts = [];
  if (known.width && known.height) parts.push(`${known.width} × ${known.height}`);
  if (known.pages) parts.push(`${known.pages} ${known.pages === 1 ? "page" : "pages"}`);
  if (known.rows) parts.push(`${Number(known.rows).toLocaleString()} rows`);
  if (known.columns) parts.push(`${known.columns} columns`);
  if (known.duration_s) parts.push(`${Number(known.duration_s).toFixed(1)} s`);
  return parts.join(", ");
}

const PREVIEW_ROLES = new Set(["cover", "poster", "preview", "thumbnail"]);
const ENOUGH_PX = 480;

/**
 * What a card shows: {kind, artifact?, facts?}.
 *
 * Of several pictures the smallest that is still sharp on a card is taken: a gallery must not load originals.
 */
export function previewOf(view) {
  const made = outputs(view);
  const source = inputOf(view);
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

/** The picture to look at closely: the largest of up to 2,400 pixels, else what the card shows. */
export function closeUpOf(view) {
  const wide = outputs(view).filter((one) => isPicture(one) && (one.metadata?.width ?? 0) <= 2400);
  return wide.sort((a, b) => (b.metadata?.width ?? 0) - (a.metadata?.width ?? 0))[0] ?? previewOf(view).artifact;
}

/** What can be played in place, or null. */
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
