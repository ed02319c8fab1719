// Forms: form fields from the JSON Schema of a task's arguments, and their values as JSON.

import { h } from "./dom.js";

let made = 0;

/** The fields for `schema` (an object): {element, read}. `read` returns the arguments without empty ones. */
export function formOf(schema) {
  const fields = Object.entries(schema?.properties ?? {}).map(([name, one]) => fieldOf(name, resolved(one, schema), (schema.required ?? []).includes(name)));
  const element = h("div", { class: "fields" }, fields.map((one) => one.element));
  return {
    element,
    empty: fields.length === 0,
    needs: fields.some((one) => one.required),
    read: () => Object.fromEntries(fields.map((one) => [one.name, one.read()]).filter(([, value]) => value !== undefined)),
  };
}

/** Resolve `$ref`, `anyOf` with null, and `allOf` with one schema. */
function resolved(given, root) {
  let schema = given;
  for (let depth = 0; depth < 8; depth += 1) {
    const wrapped = schema.allOf?.length === 1 ? schema.allOf[0] : schema.anyOf?.find((one) => one.type !== "null");
    const pointed = schema.$ref ? root.$defs?.[schema.$ref.split("/").at(-1)] : wrapped;
    if (!pointed) break;
    const { $ref, allOf, anyOf, ...own } = schema;
    schema = { ...pointed, ...own };
  }
  return schema.items ? { ...schema, items: resolved(schema.items, root) } : schema;
}

function fieldOf(name, schema, required) {
  made += 1;
  const id = `field-${made}`;
  const about = schema.description ? h("p", { class: "soft", id: `${id}-about` }, schema.description) : null;
  const shared = { id, name, required: required && schema.type !== "boolean", "aria-describedby": about ? `${id}-about` : null };
  const { control, read } = controlOf(schema, shared);
  const label = h("label", { for: id }, labelOf(name, schema), required ? null : h("small", {}, " (optional)"));
  const inline = schema.type === "boolean";
  const element = h("div", { class: inline ? "field inline" : "field" }, inline ? [control, label] : [label, control], about);
  return { name, required, element, read };
}

function labelOf(name, schema) {
  const words = schema.title && schema.title.toLowerCase() !== name ? schema.title : name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function controlOf(schema, shared) {
  const choices = schema.enum ?? (schema.const !== undefined ? [schema.const] : null);
  if (choices) return choice(choices, schema, shared);
  if (schema.type === "boolean") return tick(schema, shared);
  if (schema.type === "integer" || schema.type === "number") return number(schema, shared);
  if (schema.type === "array" && !schema.items?.properties) return list(schema, shared);
  if (schema.type === "object" || schema.type === "array" || schema.properties) return json(schema, shared);
  return text(schema, shared);
}

function choice(choices, schema, shared) {
  const options = choices.map((one) => h("option", { value: JSON.stringify(one) }, String(one)));
  const control = h("select", shared, shared.required || schema.default !== undefined ? null : h("option", { value: "" }, "Default"), options);
  if (schema.default !== undefined) control.value = JSON.stringify(schema.default);
  return { control, read: () => (control.value === "" ? undefined : JSON.parse(control.value)) };
}

function tick(schema, shared) {
  const control = h("input", { ...shared, type: "checkbox" });
  control.checked = schema.default === true;
  return { control, read: () => control.checked };
}

function number(schema, shared) {
  const min = schema.minimum ?? schema.exclusiveMinimum;
  const max = schema.maximum ?? schema.exclusiveMaximum;
  const control = h("input", { ...shared, type: "number", min, max, step: schema.type === "integer" ? 1 : "any", inputmode: "decimal", value: schema.default ?? "" });
  return { control, read: () => (control.value === "" ? undefined : Number(control.value)) };
}

function text(schema, shared) {
  const control = h("input", { ...shared, type: "text", minlength: schema.minLength, maxlength: schema.maxLength, pattern: schema.pattern, placeholder: schema.examples?.[0], value: schema.default ?? "", autocomplete: "off" });
  return { control, read: () => (control.value === "" ? undefined : control.value) };
}

/** Several values on one line, separated by commas. */
function list(schema, shared) {
  const numbers = schema.items?.type === "integer" || schema.items?.type === "number";
  const control = h("input", { ...shared, type: "text", value: (schema.default ?? []).join(", "), placeholder: numbers ? "640, 320" : "one, two", pattern: numbers ? "\\s*-?[0-9.]+(\\s*,\\s*-?[0-9.]+)*\\s*,?\\s*" : null, autocomplete: "off" });
  const read = () => {
    const parts = control.value.split(",").map((one) => one.trim()).filter(Boolean);
    return parts.length ? parts.map((one) => (numbers ? Number(one) : one)) : undefined;
  };
  return { control, read };
}

function json(schema, shared) {
  const control = h("textarea", { ...shared, rows: "3", spellcheck: "false", placeholder: schema.type === "array" ? "[]" : '{"name": "value"}' });
  if (schema.default) control.value = JSON.stringify(schema.default, null, 2);
  control.addEventListener("input", () => {
    let wrong = "";
    try {
      if (control.value.trim()) JSON.parse(control.value);
    } catch {
      wrong = "Enter valid JSON.";
    }
    control.setCustomValidity(wrong);
  });
  return { control, read: () => (control.value.trim() ? JSON.parse(control.value) : undefined) };
}
