// Format: sizes, durations and times for display.

const UNITS = ["B", "KB", "MB", "GB", "TB"];
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 3 });

/** Bytes in decimal units (1 KB = 1000 bytes), as object stores and browsers show them. */
export function size(bytes) {
  if (!Number.isFinite(bytes)) return "";
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** A duration: 420 ms, 12 s, 3 min 5 s, 2 h 10 min, 29 days. */
export function span(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** When something expires: "in 30 days", "expired" or "never". */
export function expiry(expiresAt, now = Date.now() / 1000) {
  if (expiresAt === null || expiresAt === undefined) return "never";
  const seconds = expiresAt - now;
  if (seconds <= 0) return "expired";
  if (seconds < 3600) return `in ${Math.max(1, Math.round(seconds / 60))} min`;
  if (seconds < 48 * 3600) return `in ${Math.round(seconds / 3600)} h`;
  return `in ${Math.round(seconds / 86400)} days`;
}

/** A time of day today, with the date on other days. */
export function moment(epochSeconds) {
  const at = new Date(epochSeconds * 1000);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : day.format(at);
}

/** A time with its full date. */
export function fullMoment(epochSeconds) {
  return long.format(new Date(epochSeconds * 1000));
}

/** A time in the form of an HTML `datetime` attribute. */
export function isoMoment(epochSeconds) {
  return new Date(epochSeconds * 1000).toISOString();
}

/** One value of an Artifact's metadata. */
export function fact(value) {
  if (typeof value === "number") return number.format(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value ?? "");
}

/** `1 file`, `3 files`. */
export function count(many, one, more = `${one}s`) {
  return `${number.format(many)} ${many === 1 ? one : more}`;
}
