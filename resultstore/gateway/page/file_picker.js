// File picker: files that are dropped anywhere on the page, pasted or chosen.

import { h } from "./dom.js";

/** Calls `take(files)`. `places` {veil, choose, input}. */
export function watchFiles(places, take) {
  let depth = 0; // dragenter and dragleave are fired for every element under the pointer
  const veiled = (shown) => places.veil.classList.toggle("shown", shown);
  const carries = (event) => event.dataTransfer?.types.includes("Files");

  window.addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    depth += 1;
    veiled(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!carries(event)) return;
    depth = Math.max(0, depth - 1);
    if (!depth) veiled(false);
  });
  window.addEventListener("dragover", (event) => {
    event.preventDefault(); // otherwise the browser would open a dropped file
    if (event.dataTransfer) event.dataTransfer.dropEffect = carries(event) ? "copy" : "none";
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    veiled(false);
    if (carries(event)) take([...event.dataTransfer.files]);
  });
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || event.target.closest?.("input, textarea")) return;
    event.preventDefault();
    take(files.map(named));
  });
  places.choose.addEventListener("click", () => places.input.click());
  places.input.addEventListener("change", () => {
    const files = [...places.input.files];
    places.input.value = ""; // so that the same file can be chosen again
    take(files);
  });
}

/** Ask for one file; resolves with it, or with null if the user cancels. */
export function chooseFile() {
  return new Promise((resolve) => {
    const input = h("input", { type: "file", hidden: true });
    const end = (file) => {
      input.remove();
      resolve(file);
    };
    input.addEventListener("change", () => end(input.files[0] ?? null));
    input.addEventListener("cancel", () => end(null));
    document.body.append(input); // a detached one may be garbage-collected while the user chooses
    input.click();
  });
}

/** Name a pasted image after the current time: browsers call every one image.png. */
function named(file) {
  if (file.name && file.name !== "image.png") return file;
  const at = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  return new File([file], `Pasted ${at}.${file.type.split("/")[1] || "png"}`, { type: file.type });
}
