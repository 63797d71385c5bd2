import { readTrace } from "../replay/trace.ts";

export const chainLength = 10;
export const fanWidth = 100;

/** What is run; a trace with the file of the execution. */
export type Workload =
  | { readonly kind: "single" | "chain" | "fan" }
  | { readonly kind: "trace"; readonly file: string };

/** A step and those before it, by their places. */
export interface PlacedStep {
  readonly name: string;
  readonly after: readonly string[];
}

/** The names that reports give them. */
export function nameOf(workload: Workload): string {
  if (workload.kind === "trace") return `trace ${readTrace(workload.file).name}`;
  return { single: "single step", chain: `chain of ${chainLength}`, fan: `fan of ${fanWidth} and join` }[workload.kind];
}

/** The steps of one task in an order in which they can run; the place of each is its index. */
export function stepsOf(workload: Workload): readonly PlacedStep[] {
  switch (workload.kind) {
    case "single":
      return [{ name: "only", after: [] }];
    case "chain": {
      const names = Array.from({ length: chainLength }, (_, index) => `link_${index}`);
      return names.map((name, index) => ({ name, after: names.slice(Math.max(0, index - 1), index) }));
    }
    case "fan": {
      const branches = Array.from({ length: fanWidth }, (_, index) => `branch_${index}`);
      return [...branches.map((name) => ({ name, after: [] })), { name: "join", after: branches }];
    }
    case "trace": {
      const { steps } = readTrace(workload.file);
      const names = new Map(steps.map(({ id, name }) => [id, name]));
      return steps.map(({ name, parents }) => ({ name, after: parents.map((parent) => names.get(parent) ?? parent) }));
    }
    default:
      throw new Error(`no workload is of the kind ${JSON.stringify(workload satisfies never)}`);
  }
}
