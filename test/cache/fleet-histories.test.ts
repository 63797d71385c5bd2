import { test } from "node:test";
import { checkFleetHistories, fleetHistories } from "./fleet-histories.ts";

for (const [what, outages] of fleetHistories) {
  test(`in random histories of three processes, ${what}`, () => checkFleetHistories(outages, 1_000));
}
