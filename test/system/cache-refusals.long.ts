import { after, describe, test } from "node:test";
import { clustered, loading, locked, readOnly } from "./cache-faults.ts";
import { startLoadedFleet } from "./cache-servers.ts";
import { withstandOutage, withstandRefusal } from "./cache-withstand.ts";

describe("three servers under 500 concurrent requests", { timeout: 300_000, concurrency: 1 }, async () => {
  const fleet = await startLoadedFleet({ after });
  for (const outage of [locked, loading, clustered]) {
    test(`go on when redis is ${outage.name}, and come back to it`, () => withstandOutage(fleet, outage));
  }
  test("go on when redis is made a replica, and share answers again when it is none", () =>
    withstandRefusal(fleet, readOnly));
});
