import { after, test } from "node:test";

import { testDatabase } from "../support/database.ts";
import { stress } from "./stress.ts";

const { db } = await testDatabase({ after });

test("long histories of four connections leave everything adding up", async () => {
  await stress(db, { cases: 60, length: 250 });
});
