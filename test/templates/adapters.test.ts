import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { CamelCasePlugin, Kysely, PostgresDialect } from "kysely";
import pg from "pg";

import { openPrisma } from "../../examples/generated/prisma.js";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import { drizzleTransaction } from "../../src/postgres/adapters/drizzle.ts";
import { kyselyTransaction } from "../../src/postgres/adapters/kysely.ts";
import { portable, rowsOf } from "../../src/postgres/adapters/portable.ts";
import { prismaTransaction } from "../../src/postgres/adapters/prisma.ts";
import { type PgQueryable, sqlOf } from "../../src/postgres/statement.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { listen } from "../engine/notices.ts";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { templateSystem } from "./setup.ts";

// Before the database is dropped.
let close = async (): Promise<void> => {};
after(() => close());
const { db, url } = await testDatabase({ after });
await db.query({ text: "create table orders (id serial primary key, customer text not null, paid boolean not null)" });
const { registry, submitter } = templateSystem(db);
const template = { namespace: "shop", name: "ship_order", version: "1.0.0" };
await registry.register([defineTask(template).step("pack", () => null)]);

const pool = new pg.Pool({ connectionString: url });
// As applications have it: columns and their values come in a shape of the application's own.
const kysely = new Kysely<{ orders: { customer: string; paid: boolean } }>({
  dialect: new PostgresDialect({ pool }),
  plugins: [new CamelCasePlugin()],
});
const drizzled = drizzle(pool);
const prisma = openPrisma(url);
close = async () => {
  await pool.end();
  await prisma.$disconnect();
};

/** What the rows and the task of one caller are written with. */
interface Caller {
  readonly insert: (customer: string) => Promise<unknown>;
  readonly transaction: PgQueryable;
}

type Within = <T>(work: (caller: Caller) => Promise<T>) => Promise<T>;

const libraries: Readonly<Record<string, Within>> = {
  pg: async (work) => {
    const client = await pool.connect();
    try {
      await client.query("begin");
      const insert = (customer: string): Promise<unknown> =>
        client.query("insert into orders (customer, paid) values ($1, true)", [customer]);
      const done = await work({ insert, transaction: client });
      await client.query("commit");
      return done;
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  },
  Kysely: (work) =>
    kysely.transaction().execute((trx) =>
      work({
        insert: (customer) => trx.insertInto("orders").values({ customer, paid: true }).execute(),
        transaction: kyselyTransaction(trx),
      }),
    ),
  Drizzle: (work) =>
    drizzled.transaction((tx) =>
      work({
        insert: (customer) => tx.execute(sql`insert into orders (customer, paid) values (${customer}, true)`),
        transaction: drizzleTransaction(tx, sql),
      }),
    ),
  Prisma: (work) =>
    prisma.$transaction((tx) =>
      work({
        insert: (customer) => tx.order.create({ data: { customer, paid: true } }),
        transaction: prismaTransaction(tx),
      }),
    ),
};

/** Orders and tasks of a customer. */
function written(customer: string): Promise<{ orders: number; tasks: number }> {
  const text = `select (select count(*) from orders where customer = $1) as orders,
    (select count(*) from tasker.tasks where correlation_id = $1) as tasks`;
  return onlyRow(db, text, [customer]);
}

for (const [library, within] of Object.entries(libraries)) {
  describe(`in a transaction of ${library}`, () => {
    const ada = `${library} Ada`;

    test("rows and task come with the commit, and so does the notice", async (t) => {
      const { next, waiting } = await listen(t, url);
      const input = { text: `"$1" \\ {a,b} 'x'`, n: [1, null] };
      const id = await within(async ({ insert, transaction }) => {
        await insert(ada);
        const submissions = ["k1", "k2"].map((idempotencyKey) => ({ input, idempotencyKey, correlationId: ada }));
        const [task] = await submitter.submit(template, submissions, sqlOf(transaction));
        assert.equal(task?.outcome, "created");
        assert.deepEqual(await written(ada), { orders: 0, tasks: 0 });
        await WakeUps.notifyWithin(db, [999_999]);
        assert.equal(await next(), "work:999999");
        assert.equal(waiting(), 0);
        return task.id;
      });
      assert.deepEqual(await written(ada), { orders: 1, tasks: 2 });
      assert.match(await next(), /^work:\d+$/u);
      assert.deepEqual(
        (await onlyRow<{ input: unknown }>(db, "select input from tasker.tasks where id = $1", [id])).input,
        input,
      );
      const again = await within(({ transaction }) =>
        submitter.submit(template, [{ input, idempotencyKey: "k1", correlationId: ada }], sqlOf(transaction)),
      );
      assert.deepEqual(again, [{ id, outcome: "existing" }]);
      await db.query({ text: "update tasker.tasks set idempotency_key = null" });
    });

    test("a rollback takes both back", async () => {
      const bob = `${library} Bob`;
      const unpaid = new Error("unpaid");
      const placed = within(async ({ insert, transaction }) => {
        await insert(bob);
        const [task] = await submitter.submit(template, [{ input: 1, correlationId: bob }], sqlOf(transaction));
        assert.equal(task?.outcome, "created");
        throw unpaid;
      });
      await assert.rejects(placed, (error) => error === unpaid);
      assert.deepEqual(await written(bob), { orders: 0, tasks: 0 });
    });
  });
}

test("what is no transaction does not compile, and is refused", () => {
  // @ts-expect-error a Kysely instance is no transaction
  assert.throws(() => kyselyTransaction(kysely), /needs the transaction, not the Kysely instance/u);
  // @ts-expect-error a database is no transaction
  assert.throws(() => drizzleTransaction(drizzled, sql), /needs the transaction, not the database/u);
  // @ts-expect-error a client is no transaction
  assert.throws(() => prismaTransaction(prisma), /needs the transaction, not the PrismaClient/u);
  assert.throws(() => sqlOf(pool), /the transaction is a pool: pass the client that has begun it/u);
});

test("texts and arrays travel as text, whatever the library makes of them, and rows come back as one", () => {
  const values = ["{}", [`a"b`, String.raw`c\d`], 3, null];
  assert.deepEqual(portable({ text: "select $1::jsonb, $2::text[], $3 + $3, $4", values }), {
    text: "select row_to_json(tasker_rows)::text as line from (select $1::text::jsonb, $2::text::text[], $3 + $3, $4) tasker_rows",
    values: ["{}", String.raw`{"a\"b","c\\d"}`, 3, null],
  });
  assert.deepEqual(rowsOf([{ line: '{"a":1}' }]), [{ a: 1 }]);
  assert.deepEqual(rowsOf({ rows: [{ line: '{"a":1}' }] }), [{ a: 1 }]);
  for (const wrong of [undefined, { rows: 1 }, [{ Line: "{}" }], [{ line: { a: 1 } }]]) {
    assert.throws(() => rowsOf(wrong), /the library's answer has no/u);
  }
});
