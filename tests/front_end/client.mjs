// A front end that does what it is told: one JSON order per line in, one JSON line per outcome out.
//
//   node client.mjs DATABASE_URL HOST PORT [MOCK_USER]
//
// In:  {"id": 1, "call": "set", "path": "a/b", "arguments": [5], "query": [["limitToLast", 2]]}
// Out: {"id": 1, "value": ...} or {"id": 1, "error": "..."}; of a listener {"id": 1, "event": ...} too.
import { createInterface } from "node:readline";
import { initializeApp } from "firebase/app";
import * as sdk from "firebase/database";

const [url, host, port, user] = process.argv.slice(2);
const database = sdk.getDatabase(initializeApp({ databaseURL: url, projectId: "test" }));
const options = user ? { mockUserToken: JSON.parse(user) } : {};
sdk.connectDatabaseEmulator(database, host, Number(port), options);

const stops = new Map();
const tell = (id, outcome) => process.stdout.write(`${JSON.stringify({ id, ...outcome })}\n`);

const calls = {
  get: async (place) => (await sdk.get(place)).val(),
  set: sdk.set,
  update: sdk.update,
  remove: sdk.remove,
  push: async (place, value) => (await sdk.push(place, value)).key,
  setWithPriority: sdk.setWithPriority,
  setAtDisconnect: (place, value) => sdk.onDisconnect(place).set(value),
  updateAtDisconnect: (place, value) => sdk.onDisconnect(place).update(value),
  cancelAtDisconnect: (place) => sdk.onDisconnect(place).cancel(),
  goOffline: () => sdk.goOffline(database),
  goOnline: () => sdk.goOnline(database),
  add: async (place, step) => {
    const result = await sdk.runTransaction(place, (current) => (current ?? 0) + step);
    return result.snapshot.val();
  },
  swap: async (place, value) => (await sdk.runTransaction(place, () => value)).committed,
  off: (place, id) => stops.get(id)(),
};

function listen(id, event, place) {
  const told = (snapshot) => tell(id, { event: snapshot.val(), key: snapshot.key });
  const denied = (error) => tell(id, { event: "denied", error: error.message });
  stops.set(id, sdk[event](place, told, denied));
}

async function obey({ id, call, path = "/", arguments: given = [], query = [] }) {
  try {
    const constraints = query.map(([name, ...rest]) => sdk[name](...rest));
    const node = sdk.ref(database, path);
    const place = constraints.length ? sdk.query(node, ...constraints) : node;
    if (call.startsWith("onChild") || call === "onValue") listen(id, call, place);
    else tell(id, { value: (await calls[call](place, ...given)) ?? null });
  } catch (error) {
    tell(id, { error: error.message ?? String(error) });
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => process.exit(0));
