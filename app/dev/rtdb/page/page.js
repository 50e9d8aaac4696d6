// The live page: events flow from the stream through the tree into the cards.
//
// ?ns= names the database, ?root= the node with the tickers (FIREBASE_ROOT), and ?auth= is the token
// for a database with rules.

import { Board } from "./board.js";
import { Card } from "./card.js";
import { follow } from "./stream.js";
import { Lines } from "./line.js";
import { amount, clock, date, marks } from "./texts.js";
import { applyEvent, dayOf, figuresOf, unescapeKey } from "./tree.js";

const DEFAULT_ROOT = "services";
const ACCOUNT = "aggregate";
const TICK_MS = 1000;

const parameters = new URLSearchParams(location.search);
const root = (parameters.get("root") || DEFAULT_ROOT).split("/").filter(Boolean);
const TITLE = root.join("/") === DEFAULT_ROOT ? "Profit today" : `Profit today in ${root.join("/")}`;
const passedOn = ["ns", "auth"].map((name) => [name, parameters.get(name)]).filter(([, of]) => of);
const query = passedOn.length ? `?${new URLSearchParams(passedOn)}` : "";
const rootPath = `/${root.join("/")}/`;
const rootUrl = `/${root.map(encodeURIComponent).join("/")}.json${query}`;

const byId = (id) => document.getElementById(id);
const account = new Card(byId("card"), "Account", 2);
const board = new Board();

/** The database below the root, as a Map, and the lines of the day. */
const tree = new Map();
const lines = new Lines();

/** Keys of the cards that are out of date. */
const waiting = new Set();
let frame = 0;

/** When all lines start, and when the connection was lost; in ms since 1970. */
let since = Date.now();
let lostAt = null;

function takeEvent(kind, path, data) {
  for (const key of applyEvent(tree, kind, path, data)) {
    lines.record(key, figuresOf(tree.get(key)), Date.now());
    changed(key);
  }
  showConnection(null);
}

/** Fetch the values from before the page was opened, or while it was disconnected. */
async function takeHistory() {
  const answer = await fetch(`/.history.json${query}`);
  for (const [path, { day, points }] of Object.entries(await answer.json())) {
    const key = path.slice(rootPath.length);
    if (!path.startsWith(rootPath) || key.includes("/")) continue;
    lines.prepend(key, day, points);
    changed(key);
  }
}

/** However many events arrive, cards are drawn once per frame, and not while the page is hidden. */
function changed(key) {
  waiting.add(key);
  frame ||= requestAnimationFrame(show);
}

function show() {
  frame = 0;
  const now = Date.now();
  const before = board.size;
  for (const key of waiting) showOne(key, now);
  waiting.clear();
  if (board.size !== before) arrange();
  updateTitle();
}

function showOne(key, now) {
  const node = tree.get(key);
  if (key === ACCOUNT) {
    byId("account").hidden = node === undefined;
    account.update(figuresOf(node), lines.get(key));
    account.tick(now, since);
  } else if (node === undefined) {
    board.remove(unescapeKey(key));
  } else {
    const card = board.card(unescapeKey(key));
    card.update(figuresOf(node), lines.get(key));
    card.tick(now, since);
  }
}

function arrange() {
  byId("tickers").hidden = board.size === 0;
  board.arrange();
}

/** Runs once a second, even in a hidden tab, whose title is still visible. */
function tick() {
  const now = Date.now();
  since = lines.start(dayOf(new Date(now).toISOString()), now - TICK_MS);
  for (const card of [account, ...board.cards()]) card.tick(now, since);
  byId("date").textContent = date(now);
  if (board.size > 0) arrange();
  updateTitle();
}

function updateTitle() {
  const { total } = figuresOf(tree.get(ACCOUNT));
  const figure = total === undefined ? "" : `${marks(total).arrow} ${amount(total)}`;
  document.title = [lostAt === null ? figure : "Connection lost", TITLE].filter(Boolean).join(" · ");
}

/** @param {number | null} at when the connection was lost; null if it is open. */
function showConnection(at) {
  lostAt = at;
  document.documentElement.dataset.connection = at === null ? "live" : "lost";
  const text = at === null ? "Live" : `Connection lost at ${clock(at)}, trying again`;
  if (byId("connection").textContent !== text) byId("connection").textContent = text;
  byId("no-report").hidden = at !== null || hasReport();
}

function hasReport() {
  return [...tree.values()].some((node) => figuresOf(node).total !== undefined);
}

function commandToReport() {
  const at = new Date().toISOString();
  const amounts = { total: 28.76, unrealized: 28.76, realized: 0, converted: 0 };
  const message = { data: { symbol: "SOFI", ...amounts, timestamp: at }, timestamp: at, sender: "me" };
  return `redis-cli -u "$REDIS_URL" PUBLISH PROFIT_REPORT '${JSON.stringify(message)}'`;
}

byId("account").append(account.element);
byId("title").textContent = TITLE;
byId("tree").href = `${rootUrl}${query ? "&" : "?"}print=pretty`;
byId("command").textContent = commandToReport();
tick();
setInterval(tick, TICK_MS);
follow(rootUrl, {
  onOpen: () => takeHistory().catch(() => {}), // without history the lines start now
  onEvent: takeEvent,
  onLost: () => showConnection(lostAt ?? Date.now()),
});
