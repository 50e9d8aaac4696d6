// Figures in the form that people read. No DOM here.

/** Seconds without a report after which a ticker is shown as stale. */
export const STALE_SECONDS = 300;

const LOCALE = navigator.language;
// What is stored is rounded already: all its decimals are shown, at least two and at most eight.
const DECIMALS = { minimumFractionDigits: 2, maximumFractionDigits: 8 };
const SIGNED = new Intl.NumberFormat(LOCALE, { ...DECIMALS, signDisplay: "exceptZero" });
const PRICE = new Intl.NumberFormat(LOCALE, DECIMALS);
const DATE = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", timeZone: "UTC" });
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });

const DIRECTIONS = {
  up: { arrow: "▲", word: "up" },
  down: { arrow: "▼", word: "down" },
  flat: { arrow: "◆", word: "unchanged" },
  unknown: { arrow: "", word: "" },
};

/** Format an amount with its sign, and a minus that screen readers speak; other text is unchanged. */
export function amount(value) {
  return shown(value, SIGNED);
}

/** Format a price, which brokers may send as text. */
export function price(value) {
  const number = typeof value === "string" && value.trim() ? Number(value) : value;
  return shown(Number.isFinite(number) ? number : value, PRICE);
}

function shown(value, format) {
  if (typeof value === "number") return format.format(value).replace("-", "\u2212");
  return value === undefined ? "–" : String(value);
}

/** Return `up`, `down` or `flat`; `unknown` if it is not a number. */
export function direction(value) {
  if (typeof value !== "number") return "unknown";
  if (value === 0) return "flat";
  return value > 0 ? "up" : "down";
}

/** Return an arrow to see and a word to hear. */
export function marks(value) {
  return DIRECTIONS[direction(value)];
}

/** Format how long ago it was, by the clock of this machine; both in ms since 1970. */
export function age(reported, now) {
  if (Number.isNaN(reported)) return "no report";
  if (!sameDay(reported, now)) return `${DATE.format(reported)}, not today`;
  const seconds = Math.max(0, Math.round((now - reported) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

/** Return whether the last report is too old to rely on, or missing. */
export function isStale(reported, now) {
  return !(now - reported < STALE_SECONDS * 1000) || !sameDay(reported, now);
}

/** Return whether both are on the same day of the ledger, which is a UTC day. */
export function sameDay(one, other) {
  return Math.floor(one / 86_400_000) === Math.floor(other / 86_400_000);
}

/** Format the time of day, to the minute. */
export function clock(at) {
  return CLOCK.format(at);
}

/** Format the day of the ledger, which is a UTC day. */
export function date(at) {
  return `${DATE.format(at)}, UTC`;
}

/** Format date and time, to the second. */
export function exactTime(at) {
  return Number.isNaN(at) ? "" : EXACT.format(at);
}
