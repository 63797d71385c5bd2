import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { stopClock } from "../support/engine.ts";
import { ModelCheck } from "./model-check.ts";

const { db } = await testDatabase({ after });

test("2,000 histories leave tasks and steps as the plain model of the states has them", async () => {
  await stopClock(db);
  await new ModelCheck(db).run(2000);
});
