// What targaryen says to each case on standard input, as a list of booleans.
"use strict";
const targaryen = require("targaryen");

const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));

const verdicts = cases.map(({ rules, there, who, operation, path, value }) => {
  const database = targaryen.database(rules, there).as(who);
  return database[operation](path, value).allowed;
});
process.stdout.write(JSON.stringify(verdicts));
