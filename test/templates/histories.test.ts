import { describe } from "node:test";
import { controls, failingRedis, workingRedis } from "./history-tests.ts";

describe("random histories of readers and registrations", () => {
  workingRedis(3_000);
  failingRedis(3_000);
  controls();
});
