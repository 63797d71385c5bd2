import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";

import type { Sql } from "../../src/postgres/sql.ts";
import { testDatabase } from "../support/database.ts";
import { codeBlocks } from "../support/documents.ts";
import { createTask, databaseTime, foldAll, moveClock, register, runStep, stopClock } from "../support/engine.ts";

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource: object;
  readonly targets: readonly { readonly format: string; readonly rawSql: string; readonly datasource: object }[];
  readonly fieldConfig: { readonly overrides: readonly { readonly matcher: { readonly options: string } }[] };
}

interface Dashboard {
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}

const dashboard = JSON.parse(readFileSync("grafana/tasker.json", "utf8")) as Dashboard;
const page = { path: "docs/grafana.md", text: readFileSync("docs/grafana.md", "utf8") };
const [roleSql = "", ...queries] = codeBlocks(page).flatMap(({ language, text }) => (language === "sql" ? [text] : []));

// Hooks run in the order in which they are given: before the database is closed.
let dropRole = (): Promise<unknown> => Promise.resolve();
after(() => dropRole());
const { db } = await testDatabase({ after });
await stopClock(db);
const template = await register(db, { charge: [], ship: ["charge"] }, { name: "fulfil_order" });
for (let task = 0; task < 6; task++) {
  await createTask(db, template);
  await runStep(db, template, "charge", 2);
  if (task > 0) await runStep(db, template, "ship", 5);
  await moveClock(db, 60);
}
await foldAll(db);
const now = await databaseTime(db);

// Roles belong to the cluster, which other tests use too.
const role = `reader_${process.pid}`;
await db.query({ text: roleSql.replaceAll("tasker_reader", role) });
// The clock that the tests move is a table.
await db.query({ text: `grant usage on schema tasker_test to ${role}; grant select on tasker_test.clock to ${role}` });
dropRole = () => db.query({ text: `drop owned by ${role}; drop role ${role}` });

/** Runs statements as the role. */
function asReader<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result> {
  return db.transaction(
    async (sql) => {
      await sql.query({ text: `set local role ${role}` });
      return work(sql);
    },
    { readOnly: true },
  );
}

/** As Grafana fills a query in, for the last day. */
function filledIn(query: string, namespace = "*"): string {
  const from = `'${new Date(Date.parse(now) - 24 * 3600 * 1000).toISOString()}'`;
  const filled = query
    .replaceAll(/\$__timeFilter\(([^)]*)\)/gu, (_, column: string) => `${column} between ${from} and '${now}'`)
    .replaceAll("$__timeFrom()", from)
    .replaceAll("${namespace:sqlstring}", `'${namespace}'`);
  assert.doesNotMatch(filled, /\$/u, "something is not filled in");
  return filled;
}

const rowsOf = (query: string, namespace?: string) =>
  asReader((sql) => sql.query<Record<string, unknown>>({ text: filledIn(query, namespace) }));

describe("docs/grafana.md", () => {
  test("gives the role the figures and nothing else", async () => {
    for (const secret of [
      "tasks",
      "workflow_step_results",
      "api_keys",
      "task_transitions",
      "workflow_step_transitions",
    ]) {
      await assert.rejects(
        asReader((sql) => sql.query({ text: `select * from tasker.${secret}` })),
        { code: "42501" },
        secret,
      );
    }
    await assert.rejects(
      asReader((sql) => sql.query({ text: "select tasker.fold(1)" })),
      { code: /42501|25006/u },
    );
  });

  test("has queries that the role may ask, each with an answer", async () => {
    assert.equal(queries.length, 5);
    for (const query of queries) assert.ok((await rowsOf(query)).length > 0, query);
  });

  test("lists every function that analytics.md shows for psql as one that the role may ask", async () => {
    const text = readFileSync("docs/analytics.md", "utf8");
    const [block = ""] = codeBlocks({ path: "docs/analytics.md", text }).flatMap((one) =>
      one.language === "sql" ? [one.text] : [],
    );
    const statements = block.split(";").filter((statement) => statement.trim() !== "");
    assert.ok(statements.length >= 7);
    for (const statement of statements) await rowsOf(statement);
  });
});

describe("grafana/tasker.json", () => {
  test("is a dashboard whose panels have an id and a place of their own", () => {
    const { title, schemaVersion, panels, templating } = dashboard;
    assert.deepEqual([title, schemaVersion], ["Tasker", 39]);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    assert.deepEqual(
      templating.list.map(({ name }) => name),
      ["datasource", "namespace"],
    );
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      assert.ok(x + w <= 24);
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`);
    });
    assert.equal(new Set(cells).size, cells.length, "panels lie over each other");
    const source = { type: "grafana-postgresql-datasource", uid: "${datasource}" };
    for (const panel of panels) {
      for (const { datasource } of [panel, ...panel.targets]) assert.deepEqual(datasource, source);
    }
  });

  for (const { title, type, targets, fieldConfig } of dashboard.panels) {
    test(`shows ${title}`, async () => {
      assert.equal(targets.length, 1);
      for (const { rawSql, format } of targets) {
        assert.equal(format, type === "timeseries" ? "time_series" : "table");
        const rows = await rowsOf(rawSql);
        // Nothing has a week behind it here.
        if (title === "Slower than usual") assert.deepEqual(rows, []);
        else assert.ok(rows.length > 0);
        if (type === "timeseries") assert.equal(Object.keys(rows[0] ?? {})[0], "time");
        const columns = Object.keys(rows[0] ?? {});
        for (const { matcher } of fieldConfig.overrides) {
          if (rows.length > 0) assert.ok(columns.includes(matcher.options), matcher.options);
        }
        await rowsOf(rawSql, "shop");
        const unknown = await rowsOf(rawSql, "nobody");
        if (title.startsWith("Slowest") || title === "Backlog") assert.deepEqual(unknown, []);
      }
    });
  }

  test("offers the namespaces to choose from", async () => {
    const [, namespaces] = dashboard.templating.list;
    const values = (await rowsOf(namespaces?.query ?? "")).map((row) => Object.values(row)[0]);
    assert.deepEqual(values, ["*", "shop"]);
  });
});
