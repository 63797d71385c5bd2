import { describe, test } from "node:test";
import { checkFleetHistories, fleetHistories } from "./fleet-histories.ts";

describe("in ten thousand random histories of three processes", () => {
  for (const [what, outages] of fleetHistories) test(what, () => checkFleetHistories(outages, 5_000));
});
