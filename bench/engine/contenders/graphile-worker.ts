import { Logger, makeWorkerUtils, run, type WorkerUtils } from "graphile-worker";

import { fanWidth, type Workload } from "../workloads.ts";
import type { Contender, Site } from "./contract.ts";
import { insertJoins, type Job, joinsTable, newTasks, runJob } from "./jobs.ts";

const taskName = "step";
const logger = new Logger(() => (level, message) => {
  // An enum without values at run time.
  const text: string = level;
  if (text === "error") console.error(`graphile-worker: ${message}`);
});

/** Jobs of one task. Releases up to 0.16 have neither a local queue nor batches of completions. */
export const graphileWorker: Contender = {
  name: "graphile-worker",
  means: "a job enqueues the next; the last of 100 to count down enqueues the join",
  runsTraces: false,
  // Jobs that have run are deleted.
  unfinished: "select 1 from graphile_worker.jobs limit 1",

  async setUp({ url }) {
    await withUtils({ url }, async (utils) => {
      await utils.migrate();
      await utils.withPgClient((client) => client.query(joinsTable));
    });
  },

  enqueue: (site, workload, tasks) =>
    withUtils(site, async (utils) => {
      await add(utils, workload, tasks);
    }),

  async start({ url, concurrency, workload, record }) {
    const runner = await run({
      connectionString: url,
      concurrency,
      maxPoolSize: concurrency,
      noHandleSignals: true,
      logger,
      taskList: {
        [taskName]: async (payload, helpers) => {
          const queue = {
            send: async (job: Job) => void (await helpers.addJob(taskName, job)),
            query: async (text: string, values: readonly unknown[]) =>
              (await helpers.query<object>(text, [...values])).rows,
          };
          // As it was enqueued below.
          await runJob(queue, payload as Job, record);
        },
      },
    });
    const utils = await makeWorkerUtils({ connectionString: url, logger, maxPoolSize: 1 });
    return {
      enqueue: () => add(utils, workload, 1),
      async stop() {
        await runner.stop();
        await utils.release();
      },
    };
  },
};

/** Adds tasks as whole statements of the worker's own SQL interface. Resolves to the id of the last. */
async function add(utils: WorkerUtils, workload: Workload, tasks: number): Promise<string> {
  const { ids, jobs } = newTasks(workload, tasks);
  await utils.withPgClient(async (client) => {
    if (workload.kind === "fan") await client.query(insertJoins, [ids, fanWidth]);
    const text = "select count(graphile_worker.add_job($1, job)) from json_array_elements($2::json) job";
    await client.query(text, [taskName, JSON.stringify(jobs)]);
  });
  return ids.at(-1) ?? "";
}

async function withUtils(site: Site, use: (utils: WorkerUtils) => Promise<void>): Promise<void> {
  const utils = await makeWorkerUtils({ connectionString: site.url, logger, maxPoolSize: 1 });
  try {
    await use(utils);
  } finally {
    await utils.release();
  }
}
