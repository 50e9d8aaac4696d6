// What targaryen says to each case on standard input: a list of booleans, null for refused rules.
"use strict";
const targaryen = require("targaryen");

const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));

const verdicts = cases.map(({ rules, there, who, operation, path, value }) => {
  let database;
  try {
    database = targaryen.database(rules, there);
  } catch {
    return null;
  }
  return database.as(who)[operation](path, value).allowed;
});
process.stdout.write(JSON.stringify(verdicts));
