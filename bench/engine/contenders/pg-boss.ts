import PgBoss from "pg-boss";

import { openBenchPool } from "../../support/pool.ts";
import { fanWidth, type Workload } from "../workloads.ts";
import type { Contender, Site } from "./contract.ts";
import { insertJoins, type Job, joinsTable, newTasks, runJob } from "./jobs.ts";

const queueName = "step";
const insertedAtOnceMax = 1000;
/** The shortest that it allows. */
const pollingIntervalSeconds = 0.5;

/** One batch of as many jobs as others have handlers at once; a full batch asks for the next at once instead of at the next poll. */
export const pgBoss: Contender = {
  name: "pg-boss",
  means: "a job sends the next; the last of 100 to count down sends the join",
  runsTraces: false,
  unfinished: `select 1 from pgboss.job where name = '${queueName}' and state < 'completed' limit 1`,

  async setUp({ url }) {
    const boss = await open({ url }, 1);
    await boss.createQueue(queueName);
    await boss.stop({ close: true, wait: true });
    await queryOnce(url, joinsTable);
  },

  async enqueue(site, workload, tasks) {
    const boss = await open(site, 1);
    try {
      await add(boss, site, workload, tasks);
    } finally {
      await boss.stop({ close: true, wait: true });
    }
  },

  async start({ url, concurrency, workload, record }) {
    const boss = await open({ url }, concurrency);
    const pool = openBenchPool(url, concurrency);
    const queue = {
      send: async (job: Job): Promise<void> => void (await boss.send(queueName, job)),
      query: (text: string, values: readonly unknown[]): Promise<object[]> => pool.query({ text, values }),
    };
    const options = { batchSize: concurrency, pollingIntervalSeconds };
    const id: string = await boss.work<Job>(queueName, options, async (jobs) => {
      await Promise.all(jobs.map(({ data }) => runJob(queue, data, record)));
      if (jobs.length === concurrency) boss.notifyWorker(id);
    });
    return {
      enqueue: () => add(boss, { url }, workload, 1),
      async stop() {
        await boss.stop({ close: true, wait: true, graceful: true });
        await pool.close();
      },
    };
  },
};

async function open({ url }: Site, max: number): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, max });
  boss.on("error", (error) => console.error(`pg-boss: ${error.message}`));
  return boss.start();
}

async function queryOnce(url: string, text: string, values: readonly unknown[] = []): Promise<void> {
  const pool = openBenchPool(url);
  try {
    await pool.query({ text, values });
  } finally {
    await pool.close();
  }
}

/** Resolves to the id of the last task. */
async function add(boss: PgBoss, { url }: Site, workload: Workload, tasks: number): Promise<string> {
  const { ids, jobs } = newTasks(workload, tasks);
  if (workload.kind === "fan") await queryOnce(url, insertJoins, [ids, fanWidth]);
  for (let from = 0; from < jobs.length; from += insertedAtOnceMax) {
    await boss.insert(jobs.slice(from, from + insertedAtOnceMax).map((data) => ({ name: queueName, data })));
  }
  return ids.at(-1) ?? "";
}
