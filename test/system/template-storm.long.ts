import { test } from "node:test";
import { storm } from "./template-storm.ts";

test("fifty registrations in a row, with redis breaking: no task of four processes is of an older revision than had returned", (t) =>
  storm(t, 50));
