// The database below the root, updated by the events of its stream. No DOM here.
// Nodes are Maps, not objects, because a key may be `__proto__`.

/** Not shown, and large. */
const LEFT_OUT = "orders";

/**
 * Apply one event in place: `put` replaces at `path`, `patch` some nodes below it.
 *
 * @param {Map} root the node with the tickers.
 * @returns {Set<string>} the keys of the tickers that changed.
 */
export function applyEvent(root, kind, path, data) {
  const touched = new Set();
  const changes = kind === "put" ? [["", data]] : Object.entries(data ?? {});
  for (const [below, value] of changes) {
    const keys = `${path}/${below}`.split("/").filter(Boolean);
    if (keys.includes(LEFT_OUT)) continue;
    if (keys.length > 0) {
      touched.add(keys[0]);
      replace(root, keys, nodeOf(value));
    } else {
      for (const key of root.keys()) touched.add(key);
      root.clear();
      for (const [key, child] of nodeOf(value) ?? []) {
        touched.add(key);
        root.set(key, child);
      }
    }
  }
  return touched;
}

function replace(parent, [key, ...rest], node) {
  if (rest.length === 0) {
    if (node === null) parent.delete(key);
    else parent.set(key, node);
    return;
  }
  if (!(parent.get(key) instanceof Map)) parent.set(key, new Map());
  replace(parent.get(key), rest, node);
  if (parent.get(key).size === 0) parent.delete(key);
}

function nodeOf(value) {
  if (typeof value !== "object" || value === null) return value;
  const node = new Map();
  // RTDB returns a node with numeric keys as a list, with null for missing ones.
  for (const [key, child] of Object.entries(value)) {
    if (key !== LEFT_OUT && child !== null) node.set(key, nodeOf(child));
  }
  return node;
}

/** Return the symbol of a key: BRK.B for `BRK!2EB`. */
export function unescapeKey(key) {
  return key.replace(/!([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

/**
 * Return what a card shows of a ticker's node. Amounts and price are as stored, or `undefined`;
 * `reported` is in ms since 1970, NaN without a valid timestamp; `day` is the timestamp's UTC day.
 */
export function figuresOf(node) {
  const part = node instanceof Map ? node : new Map();
  const performance = part.get("performance") instanceof Map ? part.get("performance") : new Map();
  const timestamp = String(performance.get("timestamp") ?? "");
  return {
    total: performance.get("total"),
    unrealized: performance.get("unrealized"),
    realized: performance.get("realized"),
    converted: performance.get("converted"),
    price: part.get("price"),
    reported: Date.parse(timestamp),
    day: dayOf(timestamp),
  };
}

/** Return the date of an ISO timestamp. */
export function dayOf(timestamp) {
  return timestamp.slice(0, "2025-05-15".length);
}
