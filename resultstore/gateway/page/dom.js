// Dom: creates elements. Text is always inserted as text: data from a server or a file never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element with properties and children.
 *
 * `on` holds listeners, `vars` CSS custom properties, `class` the class list; `null`, `undefined` and `false` leave an
 * attribute out, `true` sets it empty. Children are elements or strings; empty ones are skipped.
 */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) set(made, name, value);
  made.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false && one !== ""));
  return made;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  // Set by script, because the Content-Security-Policy forbids style attributes.
  else if (name === "vars") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  else if (name === "class") element.className = value;
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : value);
}

/** Set the text only if it differs, so that nothing is laid out or announced twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const PATHS = {
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 19.5h14",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  retry: "M19 12a7 7 0 1 1-2.1-5M19 4v4h-4",
  remove: "M5 7h14M10 7V5h4v2M7 7l.8 12h8.4L17 7M10.5 10.5v5M13.5 10.5v5",
  stop: "M7 7l10 10M17 7 7 17",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.5 18 12 8 18.5z",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5 10 17.5 19 7.5",
  file: "M7 3.5h7l4 4V20.5H7zM14 3.5v4h4",
  table: "M4 5.5h16v13H4zM4 10h16M4 14.2h16M10 5.5v13",
  video: "M4 6h16v12H4zM10.5 9.5l4 2.5-4 2.5z",
  sound: "M5 10v4M8.5 7v10M12 4.5v15M15.5 8v8M19 10.5v3",
  model: "M5 18.5 10 9l4 5 5-9M5 18.5h14",
  picture: "M4 5h16v14H4zM4 16l4.5-5 4 4.5 2.5-2.5L20 17M15.5 9.2h.01",
  archive: "M5 4h14v4H5zM6.5 8v12h11V8M10 12h4",
};

/** An SVG icon, hidden from screen readers: the element that contains it needs a label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon, and a label for screen readers that is also its tooltip; wide screens show `shown` next to it. */
export function iconButton(name, label, pressed, { shown = "", ...more } = {}) {
  const text = shown && h("span", { class: "icon-label" }, shown);
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: pressed }, ...more }, icon(name), text);
}
