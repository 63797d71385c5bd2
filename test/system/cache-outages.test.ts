import { after, describe, test } from "node:test";
import { frozen, full, killed } from "./cache-faults.ts";
import { startLoadedFleet } from "./cache-servers.ts";
import { withstandOutage, withstandRefusal } from "./cache-withstand.ts";

describe("three servers under 500 concurrent requests", { timeout: 600_000, concurrency: 1 }, async () => {
  const fleet = await startLoadedFleet({ after });
  for (const outage of [killed, frozen]) {
    test(`go on when redis is ${outage.name}, and come back to it`, () => withstandOutage(fleet, outage));
  }
  test("go on when redis is full, and share answers again when there is room", () => withstandRefusal(fleet, full));
});
