import { DBOS, DBOSClient } from "@dbos-inc/dbos-sdk";

import { chainLength, fanWidth, type Workload } from "../workloads.ts";
import type { Contender, Record, Site } from "./contract.ts";

/** Workflows that await children stand in another queue than those, lest they hold all its slots. */
const flows = "flows";
const branches = "branches";
const applicationName = "tasker-bench";
const enqueuedAtOnceMax = 20;
/** Its default of a second would be most of what is measured. */
const minPollingIntervalMs = 10;
/** Workflows of a queue in a process: a poll takes what is missing to these, so that few would wait for the next poll. */
const workflowsPerHandler = 10;

const logger = {
  info: () => {},
  debug: () => {},
  warn: () => {},
  error: (entry: unknown) => console.error("dbos:", entry),
};

/** The worker of this process: workflows are registered once in a process. */
let record: Record = () => {};

const step = (place: number): Promise<void> => {
  const task = DBOS.workflowID ?? "";
  return DBOS.runStep(() => Promise.resolve(record(task, place)), { name: `step_${place}` });
};
const branch = DBOS.registerWorkflow((task: string, place: number) => Promise.resolve(record(task, place)), {
  name: "branch",
});
const workflows = {
  single: DBOS.registerWorkflow(() => Promise.resolve(record(DBOS.workflowID ?? "", 0)), { name: "single" }),
  chain: DBOS.registerWorkflow(
    async () => {
      for (let place = 0; place < chainLength; place++) await step(place);
    },
    { name: "chain" },
  ),
  fan: DBOS.registerWorkflow(
    async () => {
      const task = DBOS.workflowID ?? "";
      const handles = [];
      for (let place = 0; place < fanWidth; place++) {
        handles.push(await DBOS.startWorkflow(branch, { queueName: branches })(task, place));
      }
      for (const handle of handles) await handle.getResult({ pollingIntervalMs: minPollingIntervalMs });
      await step(fanWidth);
    },
    { name: "fan" },
  ),
};

/** Queued workflows. */
export const dbos: Contender = {
  name: "dbos",
  means: "a queued workflow of 10 steps in one process; one that starts 100 queued children and awaits them",
  runsTraces: false,
  unfinished: "select 1 from dbos.workflow_status where status in ('ENQUEUED', 'PENDING') limit 1",

  setUp: ({ url }) => DBOS.migrate(url),

  async enqueue(site, workload, tasks) {
    const client = await openClient(site);
    try {
      for (let left = tasks; left > 0; left -= enqueuedAtOnceMax) {
        await Promise.all(Array.from({ length: Math.min(left, enqueuedAtOnceMax) }, () => add(client, workload)));
      }
    } finally {
      await client.destroy();
    }
  },

  async start({ url, concurrency, index, workload, record: tell }) {
    record = tell;
    DBOS.setConfig({
      name: applicationName,
      systemDatabaseUrl: url,
      applicationVersion: "bench",
      executorID: `worker_${index}`,
      logger,
    });
    await DBOS.launch();
    const workerConcurrency = concurrency * workflowsPerHandler;
    for (const queue of [flows, branches]) {
      await DBOS.registerQueue(queue, { workerConcurrency, minPollingIntervalMs, onConflict: "always_update" });
    }
    const client = await openClient({ url });
    return {
      enqueue: () => add(client, workload),
      async stop() {
        await DBOS.shutdown({ workflowCompletionTimeoutMS: 10_000 });
        await client.destroy();
      },
    };
  },
};

function openClient({ url }: Site): Promise<DBOSClient> {
  return DBOSClient.create({ systemDatabaseUrl: url, logger, applicationName });
}

/** Resolves to the task's id, which is the workflow's. */
async function add(client: DBOSClient, { kind }: Workload): Promise<string> {
  if (kind === "trace") throw new Error("dbos does not run traces here");
  const options = { queueName: flows, workflowName: kind, appVersion: "bench" };
  return (await client.enqueue<(typeof workflows)[typeof kind]>(options)).workflowID;
}
