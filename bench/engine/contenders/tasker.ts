import { TaskDefinition } from "../../../src/workflow/define-task.ts";
import { defaultRetryPolicy } from "../../../src/workflow/retry.ts";
import { startBenchApp } from "../../support/app.ts";
import { stepsOf, type Workload } from "../workloads.ts";
import type { Contender, Record } from "./contract.ts";

const submittedAtOnceMax = 100;

/** The product as it is composed for everybody, its maintenance and its fold included. */
export const tasker: Contender = {
  name: "tasker",
  means: "a task whose steps depend on each other",
  runsTraces: true,
  unfinished: "select 1 from tasker.tasks where ended_at is null limit 1",

  async setUp({ url }) {
    await (await startBenchApp({ url, definitions: [], work: false })).stop();
  },

  async enqueue({ url }, workload, tasks) {
    const definition = definitionOf(workload, () => {});
    const app = await startBenchApp({ url, definitions: [definition], work: false });
    try {
      for (let left = tasks; left > 0; left -= submittedAtOnceMax) {
        const submissions = Array.from({ length: Math.min(left, submittedAtOnceMax) }, () => ({ input: null }));
        await app.submitter.submit(definition.name, submissions);
      }
    } finally {
      await app.stop();
    }
  },

  async start({ url, concurrency, workload, record }) {
    const definition = definitionOf(workload, record);
    const app = await startBenchApp({ url, definitions: [definition], concurrency });
    return {
      async enqueue() {
        const [task] = await app.submitter.submit(definition.name, [{ input: null }]);
        if (task === undefined) throw new Error("no task was created");
        return task.id;
      },
      stop: () => app.stop(),
    };
  },
};

function definitionOf(workload: Workload, record: Record): TaskDefinition {
  const steps = stepsOf(workload);
  const handlers = new Map(
    steps.map(({ name }, place) => [name, ({ taskId }: { readonly taskId: string }) => record(taskId, place)] as const),
  );
  const withOptions = steps.map(({ name, after }) => ({ name, after, retry: defaultRetryPolicy, timeoutMs: null }));
  return new TaskDefinition(
    { namespace: "bench", name: workload.kind, version: "1" },
    undefined,
    withOptions,
    handlers,
  );
}
