import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { rollupEqualsRecount } from "./rollup.ts";

const { db } = await testDatabase({ after });

test("every figure of every window equals a recount, over two thousand histories", async () => {
  await rollupEqualsRecount(db, 2000);
});
