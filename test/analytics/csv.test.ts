import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { BottleneckAnalysis, Timeseries } from "../../src/http/api-types.ts";
import { columnsOf, csvOf } from "../../src/http/csv.ts";
import { bottleneckColumns } from "../../src/http/csv-tables.ts";
import { assertProblem } from "../http/problems.ts";
import { fulfilOrder, httpSystem } from "../http/setup.ts";
import { claimSteps } from "../../src/engine/claim.ts";
import { newId } from "../../src/engine/ids.ts";
import { settle, success } from "../support/engine.ts";

const accept = "text/csv";

describe("CSV", () => {
  test("is quoted by RFC 4180, and no cell is taken for a formula", () => {
    const rows = [
      {
        plain: "a",
        tricky: 'say "hi", twice',
        lines: "one\r\ntwo",
        nested: { empty: null, yes: true, few: -1.5 },
        no: [1],
      },
      { plain: "=1+1", tricky: "+1", lines: "@sum", nested: { empty: "-2", yes: false, few: 0 }, no: [] },
      { plain: "\tx", tricky: "\rx", lines: "a=b", nested: { empty: undefined, yes: true, few: 1e-7 }, no: [] },
    ];
    assert.equal(
      csvOf(rows),
      [
        "plain,tricky,lines,nested_empty,nested_yes,nested_few",
        'a,"say ""hi"", twice","one\r\ntwo",,true,-1.5',
        "'=1+1,'+1,'@sum,'-2,false,0",
        `'\tx,"'\rx",a=b,,true,1e-7`,
        "",
      ].join("\r\n"),
    );
  });

  test("has its header when there are no rows", () => {
    assert.equal(csvOf([], ["a", "b"]), "a,b\r\n");
  });
});

describe("Accept: text/csv", () => {
  const urls = {
    performance: "/v1/analytics/performance",
    steps: "/v1/analytics/bottlenecks?min_executions=1",
    tasks: "/v1/analytics/bottlenecks?min_executions=1&table=slow_tasks",
    timeseries: "/v1/analytics/timeseries",
  };

  /** A server with one task that has ended. */
  async function setup(t: Parameters<typeof httpSystem>[0]) {
    const system = await httpSystem(t);
    const { namespace, name, version } = fulfilOrder.name;
    const payload = { namespace, name, version, input: { order: 1 } };
    await system.server.inject({ method: "POST", url: "/v1/tasks", payload });
    const steps = await system.db.query<{ id: number }>({ text: "select id from tasker.named_steps" });
    const owner = newId();
    for (let step = 0; step < 2; step++) {
      const namedStepIds = steps.map(({ id }) => id);
      const { claims: held } = await claimSteps(system.db, {
        workerId: owner,
        namedStepIds,
        limit: 10,
        leaseMs: 30_000,
      });
      await settle(system.db, ...held.map((one) => success({ ...one, owner }, null, 0)));
    }
    return system;
  }

  const rowsOf = (body: string): Record<string, string>[] => {
    const [header = "", ...lines] = body.trimEnd().split("\r\n");
    return lines.map((line) => {
      const cells = line.split(",");
      return Object.fromEntries(header.split(",").map((name, index) => [name, cells[index] ?? ""]));
    });
  };

  test("brings the figures of the JSON answer, from the same entry of the cache", async (t) => {
    const { server } = await setup(t);
    const json = (await server.inject(urls.steps)).json<BottleneckAnalysis>();
    const ask = async (url: string) => {
      const answer = await server.inject({ url, headers: { accept } });
      assert.equal(answer.statusCode, 200, answer.body);
      assert.equal(answer.headers["content-type"], "text/csv; charset=utf-8; header=present");
      assert.match(String(answer.headers["vary"]), /^Accept,/u);
      return { rows: rowsOf(answer.body), status: String(answer.headers["cache-status"]) };
    };
    const steps = await ask(urls.steps);
    assert.match(steps.status, /^tasker; hit/u);
    assert.deepEqual(
      steps.rows.map((row) => [row["step_name"], row["execution_count"], row["life_run_seconds"]]),
      json.slow_steps.map((step) => [step.step_name, String(step.execution_count), String(step.life.run_seconds)]),
    );
    assert.equal(steps.rows.length, 2);
    const tasks = await ask(urls.tasks);
    assert.match(tasks.status, /^tasker; hit/u, "the table is no other answer");
    assert.deepEqual(
      tasks.rows.map((row) => [row["task_name"], row["completed_count"], row["critical_path_share"]]),
      [["fulfil_order", "1", undefined]],
    );
    const series = (await server.inject(urls.timeseries)).json<Timeseries>();
    const points = await ask(urls.timeseries);
    assert.deepEqual(
      points.rows.map((row) => [row["bucket_start"], row["is_complete"], row["completed_tasks"]]),
      series.points.map((point) => [point.bucket_start, String(point.is_complete), String(point.completed_tasks)]),
    );
    const [performance] = (await ask(urls.performance)).rows;
    assert.deepEqual([performance?.["completed_tasks"], performance?.["error_rate"]], ["1", "0"]);
    assert.equal(performance?.["task_duration_sample_size"], "1");
  });

  test("has the columns of the lists also while these are empty, and no other ones", async (t) => {
    const { server } = await setup(t);
    const { slow_steps, slow_tasks } = (await server.inject(urls.steps)).json<BottleneckAnalysis>();
    // The fields of JSON stand in another order.
    assert.deepEqual(columnsOf(slow_steps[0] ?? {}).toSorted(), bottleneckColumns.slow_steps.toSorted());
    assert.deepEqual(columnsOf(slow_tasks[0] ?? {}).toSorted(), bottleneckColumns.slow_tasks.toSorted());
    const none = await server.inject({ url: "/v1/analytics/bottlenecks?min_executions=9", headers: { accept } });
    assert.equal(none.body, `${bottleneckColumns.slow_steps.join(",")}\r\n`);
  });

  test("has an entity tag of its own", async (t) => {
    const { server } = await setup(t);
    const json = await server.inject(urls.performance);
    const csv = await server.inject({ url: urls.performance, headers: { accept } });
    const etag = String(csv.headers["etag"]);
    assert.notEqual(etag, json.headers["etag"]);
    const again = await server.inject({ url: urls.performance, headers: { accept, "if-none-match": etag } });
    assert.deepEqual([again.statusCode, again.body, again.headers["content-type"]], [304, "", undefined]);
    for (const [asked, tag] of [
      [accept, String(json.headers["etag"])],
      ["application/json", etag],
    ]) {
      const other = await server.inject({ url: urls.performance, headers: { accept: asked, "if-none-match": tag } });
      assert.equal(other.statusCode, 200);
    }
  });

  test("is what the caller prefers, and JSON whatever else is accepted", async (t) => {
    const { server } = await setup(t);
    const typeFor = async (accepted: string) => {
      const { headers } = await server.inject({ url: urls.performance, headers: { accept: accepted } });
      return String(headers["content-type"]).split(";")[0];
    };
    for (const csv of ["text/csv", "text/*", "text/csv, application/json;q=0.9", "TEXT/CSV;q=0.5"]) {
      assert.equal(await typeFor(csv), "text/csv", csv);
    }
    for (const json of [
      "*/*",
      "application/json, text/csv;q=0.9",
      "text/csv;q=0",
      "image/png",
      "text/html, */*;q=0.8",
      "",
    ]) {
      assert.equal(await typeFor(json), "application/json", json);
    }
  });

  test("fails as JSON does", async (t) => {
    const { server } = await setup(t);
    const wrong = await server.inject({ url: `${urls.performance}?hours=x`, headers: { accept } });
    assertProblem(wrong, 400, "invalid_parameter");
    assertProblem(await server.inject(`${urls.steps}&table=steps`), 400, "invalid_parameter");
  });
});
