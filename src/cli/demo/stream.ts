import { sleep } from "../../runtime/clock.ts";
import type { Demo } from "./run-demo.ts";
import { demoTask } from "./workload.ts";

/** Submits a task now and then until the process is to stop. An outage of the database is waited out. */
export async function streamTasks(demo: Demo, firstNumber: number, intervalMs: number): Promise<void> {
  const { app, terminal, clock, stop, logger } = demo;
  let [submitted, ended, failing] = [0, 0, false];
  const show = (): void => terminal.live(`${submitted} more started, ${ended} of them ended`);
  for (let number = firstNumber; !stop.signal.aborted; await sleep(clock, intervalMs, stop.signal)) {
    try {
      const { template, input } = demoTask(number);
      const [task] = await app.submitter.submit(template, [{ input }]);
      [number, submitted, failing] = [number + 1, submitted + 1, false];
      if (task !== undefined) {
        // Rejects when the process stops first, and then nobody counts any more.
        void app.outcomes.wait(task.id).then(
          () => {
            ended += 1;
            show();
          },
          () => {},
        );
      }
      show();
    } catch (error) {
      if (!failing && !stop.signal.aborted) logger.warn({ err: error }, "no task can be submitted; trying again");
      failing = true;
    }
  }
}
