// Snippets: code that downloads the Result, for curl and Python.

import { resultPath } from "./api.js";
import { mainOf } from "./describe.js";

/** [{name, code}] for a Result; with `token` the code has a placeholder, never the token itself. */
export function snippetsOf(view, { root, token }) {
  const first = mainOf(view);
  const url = new URL(first ? resultPath(view.id, "artifacts", first.name) : resultPath(view.id), root).href;
  return [
    { name: "curl", code: curl(url, first, token) },
    { name: "Python", code: python(url, first, token) },
  ];
}

function curl(url, artifact, token) {
  const parts = ["curl --fail --location"];
  if (token) parts.push('--header "Authorization: Bearer $TOKEN"');
  if (artifact) parts.push(`--output ${quoted(artifact.file_name)}`);
  return [...parts, quoted(url)].join(" \\\n  ");
}

function python(url, artifact, token) {
  const headers = token ? ', headers={"Authorization": f"Bearer {token}"}' : "";
  const lines = ["import httpx", ""];
  if (!artifact) return [...lines, `result = httpx.get(${literal(url)}${headers}).raise_for_status().json()`, 'print(result["state"])'].join("\n");
  return [
    ...lines,
    `url = ${literal(url)}`,
    `with httpx.stream("GET", url, follow_redirects=True${headers}) as response:`,
    "    response.raise_for_status()",
    `    with open(${literal(artifact.file_name)}, "wb") as file:`,
    "        for chunk in response.iter_bytes():",
    "            file.write(chunk)",
  ].join("\n");
}

/** Quote an argument for a POSIX shell. */
function quoted(text) {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A Python string literal: Python understands JSON's escapes. */
function literal(text) {
  return JSON.stringify(text);
}
