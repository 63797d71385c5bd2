import assert from "node:assert/strict";
import { after, test } from "node:test";

import { BinaryRows } from "../../src/postgres/binary-rows.ts";
import { type BulkLoader, bulkLoad } from "../../src/postgres/bulk-load.ts";
import { testDatabase } from "../support/database.ts";

const { db, url } = await testDatabase({ after }, { migrated: false });
await db.query({
  text: `create table loaded (n integer, big bigint, at timestamptz, is_so boolean, name text, id uuid, keys integer[], counts bigint[])`,
});
const loaded = { table: "loaded", columns: ["n", "big", "at", "is_so", "name", "id", "keys", "counts"] };
const options = { connectionString: url, applicationName: "tasker tests", connectTimeoutMs: 30_000 };
const load = <T>(work: (loader: BulkLoader) => Promise<T>): Promise<T> => bulkLoad(options, work);
const contents = () => db.query({ text: "select * from loaded order by n" });

function append(rows: BinaryRows, n: number, big: number, keys: readonly number[]): void {
  rows.begin(loaded.columns.length);
  rows.int4(n);
  rows.int8(big);
  rows.timestamp(Date.UTC(1999, 11, 31, 23, 59, 59) * 1000 + 7);
  rows.bool(n % 2 === 0);
  if (n === 0) rows.null();
  else rows.label("in_progress");
  rows.uuid(0x01020304, 0x05067000, 0x80000000, 0xffffffff);
  rows.int4Array(keys);
  rows.int8Array(keys.map((key) => key * 2 ** 32));
}

test("rows arrive as they were encoded, whatever their size", async () => {
  const rows = new BinaryRows();
  const long = Array.from({ length: 50_000 }, (_, index) => index);
  append(rows, 0, -1, []);
  append(rows, 1, -(2 ** 40) - 3, [-1, 5]);
  append(rows, 2, Number.MAX_SAFE_INTEGER, long);
  assert.equal(rows.rows, 3);
  await load((loader) => loader.copy(loaded, rows.take()));
  const same = {
    at: "1999-12-31T23:59:59.000007Z",
    id: "01020304-0506-7000-8000-0000ffffffff",
  };
  const large = long.map((key) => key * 2 ** 32);
  assert.deepEqual(await contents(), [
    { n: 0, big: -1, ...same, is_so: true, name: null, keys: [], counts: [] },
    {
      n: 1,
      big: -(2 ** 40) - 3,
      ...same,
      is_so: false,
      name: "in_progress",
      keys: [-1, 5],
      counts: [-(2 ** 32), 5 * 2 ** 32],
    },
    { n: 2, big: Number.MAX_SAFE_INTEGER, ...same, is_so: true, name: "in_progress", keys: long, counts: large },
  ]);
  assert.equal(rows.rows, 0);
});

test("nothing is kept when the work fails, the rows are wrong or the session is lost", async () => {
  const before = (await contents()).length;
  const copyOne = async (loader: BulkLoader): Promise<void> => {
    const rows = new BinaryRows();
    append(rows, 10, 1, []);
    await loader.copy(loaded, rows.take());
  };
  await assert.rejects(
    load(async (loader) => {
      await copyOne(loader);
      throw new Error("changed its mind");
    }),
    /^Error: changed its mind$/u,
  );
  const wrong = new BinaryRows();
  wrong.begin(1);
  wrong.bool(true);
  await assert.rejects(
    load((loader) => loader.copy({ table: "loaded", columns: ["n"] }, wrong.take())),
    /insufficient data left in message/u,
  );
  await assert.rejects(
    load(async (loader) => {
      await copyOne(loader);
      const [session] = await loader.query<{ pid: number }>({ text: "select pg_backend_pid() as pid" });
      await db.query({ text: "select pg_terminate_backend($1)", values: [session?.pid] });
      await copyOne(loader);
    }),
  );
  assert.equal((await contents()).length, before);
});
