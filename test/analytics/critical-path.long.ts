import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { stopClock } from "../support/engine.ts";
import { sharesEqualRecount } from "./critical-path.ts";

const { db } = await testDatabase({ after });
await stopClock(db);

test("in hundreds of random histories the shares of critical paths are those of a plain recount", async () => {
  await sharesEqualRecount(db, 300);
});
