// The lines of the day: each ticker's total since the server or this page started. No DOM here.

/** As many as the server has; app/dev/rtdb/history.py thins points in the same way. */
const MOST_POINTS = 300;
const FIRST_INTERVAL_MS = 1000;

/** x is in seconds since this time, so that paths need few digits. */
const ORIGIN_MS = Math.floor(Date.now() / 86_400_000) * 86_400_000;

/** x of a point to the right of everything. */
const FOREVER = 1_000_000;

/** Room above and below the curve, as a share of its height. */
const MARGIN = 0.08;

class Line {
  #points = new Map();
  #interval = FIRST_INTERVAL_MS;

  /** @param {string} day a UTC day; another day needs another line. */
  constructor(day) {
    this.day = day;
  }

  /** Add a value; only the newest of each interval is kept. */
  add(at, total) {
    this.#points.set(Math.floor(at / this.#interval), [at, total]);
    while (this.#points.size > MOST_POINTS) {
      this.#interval *= 2;
      const points = [...this.#points.values()];
      this.#points = new Map(points.map((point) => [Math.floor(point[0] / this.#interval), point]));
    }
  }

  /** Put the points of the server before those received here. */
  prepend(points) {
    const seen = this.points;
    const until = points.at(-1)?.[0] ?? 0;
    this.#points.clear();
    for (const [at, total] of points) this.add(at, total);
    for (const [at, total] of seen) if (at > until) this.add(at, total);
  }

  /** [ms since 1970, total], oldest first; never empty. */
  get points() {
    return [...this.#points.values()];
  }

  /** The time of the first point. */
  get start() {
    const [[at]] = this.#points.values();
    return at;
  }
}

/** The line of each ticker, by its key. */
export class Lines {
  #lines = new Map();

  /** Return a ticker's line, if it has one. */
  get(key) {
    return this.#lines.get(key);
  }

  /** Add the current total of a ticker's node. */
  record(key, { total, day }, now) {
    if (typeof total === "number") this.#of(key, day).add(now, total);
    else this.#lines.delete(key);
  }

  /** Put the server's points of a ticker before those received here, if they are of the same day. */
  prepend(key, day, points) {
    if (this.#lines.has(key) && this.#lines.get(key).day !== day) return;
    this.#of(key, day).prepend(points);
  }

  /** Return when the first line of a UTC day starts, in ms since 1970, or `otherwise`. */
  start(day, otherwise) {
    let start = otherwise;
    for (const line of this.#lines.values()) {
      if (line.day === day) start = Math.min(start, line.start);
    }
    return start;
  }

  #of(key, day) {
    if (this.#lines.get(key)?.day !== day) this.#lines.set(key, new Line(day));
    return this.#lines.get(key);
  }
}

/**
 * Draw steps, since a total keeps its value until the next report; the last step has no end.
 *
 * @returns {{line: string, area: string, low: number, high: number}} paths with y downwards, and
 *   their range of values, which always includes zero.
 */
export function drawing(points) {
  const first = xOf(points[0][0]);
  const steps = points.map(([at, total]) => `H${xOf(at)}V${-total}`).join("");
  const totals = points.map(([, total]) => total);
  return {
    line: `M${first} ${-points[0][1]}${steps}H${FOREVER}`,
    area: `M${first} 0${steps}H${FOREVER}V0Z`,
    low: Math.min(0, ...totals),
    high: Math.max(0, ...totals),
  };
}

/** Return the visible part of a drawing: from `since` to `now`, in ms since 1970. */
export function viewBox({ low, high }, since, now) {
  const height = high - low || 1;
  const width = Math.max(1, (now - since) / 1000);
  const top = -high - height * MARGIN;
  return `${xOf(since)} ${top} ${width} ${height * (1 + 2 * MARGIN)}`;
}

function xOf(at) {
  return (at - ORIGIN_MS) / 1000;
}
