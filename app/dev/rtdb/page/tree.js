// What the database holds below the root, kept up by the events of its stream. No DOM here.
// Nodes are Maps and not objects: a key may be `__proto__`.

/** Not shown, and many. */
const LEFT_OUT = "orders";

/**
 * Apply one event in place: `put` replaces at `path`, `patch` some nodes below it.
 *
 * @param {Map} root the node that has the tickers.
 * @returns {Set<string>} the keys of the tickers that it touched.
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
  // RTDB shows a node whose keys are numbers as a list, with null where there is nothing.
  for (const [key, child] of Object.entries(value)) {
    if (key !== LEFT_OUT && child !== null) node.set(key, nodeOf(child));
  }
  return node;
}

/** The text that a key stands for: `BRK!2EB` is BRK.B. */
export function unescapeKey(key) {
  return key.replace(/!([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

/**
 * What a card shows of a ticker's node. Amounts and price are as stored, `undefined` if not there;
 * `reported` is in ms since 1970, NaN if the timestamp is none; `day` is the timestamp's UTC day.
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

/** The date at the beginning of an ISO timestamp. */
export function dayOf(timestamp) {
  return timestamp.slice(0, "2025-05-15".length);
}
