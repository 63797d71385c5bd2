import { describe } from "node:test";
import { workingRedis } from "./history-tests.ts";

describe("ten thousand random histories of readers and registrations", () => {
  workingRedis(10_000);
});
