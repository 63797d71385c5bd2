import { sleep } from "../../runtime/clock.ts";
import type { Demo } from "./demo.ts";
import { demoTask } from "./workload.ts";

/** Submits a task now and then until the process is to stop. An outage of the database is waited out. */
export async function streamTasks(demo: Demo, firstNumber: number, intervalMs: number): Promise<void> {
  const { submitter, outcomes, terminal, clock, stop, logger } = demo;
  let [submitted, ended, failing] = [0, 0, false];
  const show = (): void => terminal.live(`${submitted} more started, ${ended} of them ended`);
  const submitNext = async (number: number): Promise<void> => {
    const { template, input } = demoTask(number);
    const [task] = await submitter.submit(template, [{ input }]);
    submitted += 1;
    show();
    if (task !== undefined) void countEnd(task.id);
  };
  const countEnd = async (taskId: string): Promise<void> => {
    try {
      await outcomes.wait(taskId);
    } catch {
      // The process stops first, and nobody counts any more.
      return;
    }
    ended += 1;
    show();
  };
  for (let number = firstNumber; !stop.signal.aborted; await sleep(clock, intervalMs, stop.signal)) {
    try {
      await submitNext(number);
      number += 1;
      failing = false;
    } catch (error) {
      if (!failing && !stop.signal.aborted) logger.warn({ err: error }, "no task can be submitted; trying again");
      failing = true;
    }
  }
}
