import assert from "node:assert/strict";
import { test } from "node:test";

import { splitStatements } from "../../src/postgres/split-statements.ts";

test("statements end at semicolons; comments alone are none", () => {
  assert.deepEqual(splitStatements("-- no transaction\nselect 1;\n\nselect 2 -- last; one\n;; /* a; */ ;\n-- end;"), [
    "-- no transaction\nselect 1",
    "select 2 -- last; one",
  ]);
  assert.deepEqual(splitStatements("select 1"), ["select 1"]);
  assert.deepEqual(splitStatements(" \n-- nothing\n"), []);
});

test("a semicolon within something does not count", () => {
  for (const statement of [
    "select 'a;b', 'it''s; so'",
    `select 1 as "a;""b;"`,
    String.raw`select e'a\';b', E'\\'`,
    String.raw`select 'ends with a backslash;\'`,
    "select $$a;'b$$, $fn$x;$$;y$fn$",
    "select /* a; /* b; */ c; */ 1",
    "select 1 -- it's; \n + 1",
    "do $body$ begin perform 1; perform 2; end $body$",
  ]) {
    assert.deepEqual(splitStatements(`${statement};select 2;`), [statement, "select 2"]);
  }
});

test("a dollar or an e within a word opens nothing", () => {
  assert.deepEqual(splitStatements("select a$1 from t$2;select name'x\\';select $1"), [
    "select a$1 from t$2",
    "select name'x\\'",
    "select $1",
  ]);
});
