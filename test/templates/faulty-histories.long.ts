import { describe } from "node:test";
import { failingRedis } from "./history-tests.ts";

describe("ten thousand random histories of readers and registrations over a redis that fails", () => {
  failingRedis(10_000);
});
