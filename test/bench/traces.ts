import { parseTrace, type Trace } from "../../bench/replay/trace.ts";

/** A task of a trace of our own: its parents' ids and its run time. */
export interface Task {
  readonly after?: readonly string[];
  readonly seconds?: number | null;
}

/** A WfFormat 1.5 document of these tasks, by id. Every edge is named by its child only. */
export function wfFormat(tasks: Readonly<Record<string, Task>>): object {
  const entries = Object.entries(tasks);
  return {
    name: "made by a test",
    schemaVersion: "1.5",
    workflow: {
      specification: { tasks: entries.map(([id, { after = [] }]) => ({ name: id, id, parents: after, children: [] })) },
      execution: {
        tasks: entries.flatMap(([id, { seconds = 1 }]) =>
          seconds === null ? [] : [{ id, runtimeInSeconds: seconds }],
        ),
      },
    },
  };
}

export function trace(name: string, tasks: Readonly<Record<string, Task>>): Trace {
  return parseTrace(name, wfFormat(tasks));
}

/** Ids of one kind of task: `work_0`, `work_1`, … */
export function ids(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${kind}_${index}`);
}

/** Steps after one another. */
export function chain(length: number): Trace {
  const all = ids("link", length);
  return trace(
    "chain",
    Object.fromEntries(all.map((id, index) => [id, { after: all.slice(Math.max(0, index - 1), index) }])),
  );
}

/** One step, many after it, and one after all of those. */
export function forkJoin(width: number): Trace {
  const branches = ids("branch", width);
  // Run times from nothing to a second, unevenly spread.
  const seconds = (index: number): number => ((index * 7) % width) / width;
  return trace("fork and join", {
    fork: {},
    ...Object.fromEntries(branches.map((id, index) => [id, { after: ["fork"], seconds: seconds(index) }])),
    join: { after: branches, seconds: 0 },
  });
}

/** Many steps without parents, and one after all of them. */
export function join(width: number): Trace {
  const parents = ids("parent", width);
  return trace("join", {
    ...Object.fromEntries(parents.map((id, index) => [id, { seconds: (index % 10) / 10 }])),
    join: { after: parents },
  });
}

/** Chains beside each other, from one step to another. */
export function parallelChains(count: number, length: number): Trace {
  const links = Array.from({ length: count }, (_, at) => ids(`chain_${at}`, length));
  const tasks = links.flatMap((of) =>
    of.map((id, index) => [id, { after: [of[index - 1] ?? "split"], seconds: 0.2 }] as const),
  );
  const last = links.flatMap((of) => of.slice(-1));
  return trace("parallel chains", { split: {}, ...Object.fromEntries(tasks), merge: { after: last } });
}

/** Layers in which each step waits for several of the layer above, with a join in between. */
export function layers(depth: number, width: number, parentsMax: number): Trace {
  const layer = (at: number): string[] => (at % 3 === 2 ? [`join_${at}`] : ids(`layer_${at}`, width));
  const tasks = Array.from({ length: depth }, (_, at) => {
    const above = at === 0 ? [] : layer(at - 1);
    const wanted = at % 3 === 2 ? above.length : parentsMax;
    return layer(at).map((id, index) => {
      const after = above.slice(0, wanted).map((_parent, offset) => above[(index + offset) % above.length] ?? "");
      return [id, { after: [...new Set(after)], seconds: (index % 4) / 4 }] as const;
    });
  });
  return trace("layers", Object.fromEntries(tasks.flat()));
}

/** One step of hours among steps of seconds. */
export function uneven(width: number): Trace {
  const short = ids("short", width);
  return trace("uneven", {
    ...Object.fromEntries(short.map((id, index) => [id, { seconds: index }])),
    long: { seconds: 4 * 3600 },
    end: { after: [...short, "long"], seconds: 0 },
  });
}

/** Ids as nf-core writes them: the same process many times, with signs that are no part of a name. */
export function processNames(count: number): Trace {
  const runs = Array.from({ length: count }, (_, index) => `NFCORE:RNASEQ:FASTQC (sample ${index})`);
  return trace("process names", {
    "NFCORE:INPUT CHECK": { seconds: null },
    ...Object.fromEntries(runs.map((id) => [id, { after: ["NFCORE:INPUT CHECK"] }])),
    "NFCORE:RNASEQ:MULTIQC": { after: runs },
  });
}
