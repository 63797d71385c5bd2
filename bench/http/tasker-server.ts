/** A Tasker with the HTTP API and a template of twelve steps, some of whose tasks have ended. Prints its address. */
import { defineTask, Tasker } from "../../src/index.ts";
import { silentLogger } from "../../src/runtime/logging.ts";

const [databaseUrl = ""] = process.argv.slice(2);

const definition = defineTask<number>({ namespace: "bench", name: "http", version: "1" })
  .step("step_1", () => 1)
  .step("step_2", () => 2)
  .step("step_3", () => 3)
  .step("step_4", () => 4)
  .step("step_5", () => 5)
  .step("step_6", () => 6)
  .step("step_7", () => 7)
  .step("step_8", () => 8)
  .step("step_9", () => 9)
  .step("step_10", () => 10)
  .step("step_11", () => 11)
  .step("step_12", () => 12);

const tasker = await Tasker.start({
  tasks: [definition],
  databaseUrl,
  migrate: true,
  http: { port: 0 },
  logger: silentLogger,
});
const tasks = await Promise.all(Array.from({ length: 20 }, (_, index) => tasker.submit(definition, index)));
await Promise.all(tasks.map((task) => task.result()));
console.log(`listening ${tasker.address}`);
process.once("SIGTERM", () => void tasker.stop());
