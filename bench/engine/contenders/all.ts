import type { Contender } from "./contract.ts";

/** Loaded when they are needed: a process of one does not load the libraries of the others. Ours first. */
const loaders: ReadonlyMap<string, () => Promise<Contender>> = new Map([
  ["tasker", async () => (await import("./tasker.ts")).tasker],
  ["pg-boss", async () => (await import("./pg-boss.ts")).pgBoss],
  ["graphile-worker", async () => (await import("./graphile-worker.ts")).graphileWorker],
  ["dbos", async () => (await import("./dbos.ts")).dbos],
]);

export const contenderNames: readonly string[] = [...loaders.keys()];

/** @throws when nobody is called so */
export async function loadContender(name: string): Promise<Contender> {
  const load = loaders.get(name);
  if (load === undefined) throw new Error(`no contender is called ${name}`);
  return load();
}
