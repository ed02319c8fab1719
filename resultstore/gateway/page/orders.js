// Orders: the orders in which Results can be shown.

import { nameOf, sizesOf } from "./describe.js";

const bytes = (view) => sizesOf(view).out ?? sizesOf(view).in ?? 0;
const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Each with its label and how it compares two Results; the first is the order of the list itself. */
export const ORDERS = [
  { key: "newest", label: "Newest first", compare: null },
  { key: "oldest", label: "Oldest first", compare: (a, b) => (a.created_at ?? Infinity) - (b.created_at ?? Infinity) || 0 },
  { key: "largest", label: "Largest first", compare: (a, b) => bytes(b) - bytes(a) },
  { key: "smallest", label: "Smallest first", compare: (a, b) => bytes(a) - bytes(b) },
  { key: "name", label: "By name", compare: (a, b) => names.compare(nameOf(a), nameOf(b)) },
];

/** The views in the order `key`; equal ones stay as they are, newest first. */
export function sorted(views, key) {
  const { compare } = ORDERS.find((one) => one.key === key);
  return compare ? [...views].sort(compare) : views;
}
