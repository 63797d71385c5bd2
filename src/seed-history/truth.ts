import type { SeededHistory } from "./seed-history.ts";
import type { HistoryParameters } from "./parameters.ts";
import { type KnownTroubles, knownTroubles, type StepModel, switchShare, type TemplateModel } from "./templates.ts";

/** How a history came about: what an analysis of it should find. Times are microseconds unless their name says otherwise. */
export interface HistoryTruth {
  readonly parameters: HistoryParameters;
  /** RFC 3339. */
  readonly until: string;
  readonly task_count: number;
  readonly ended_step_count: number;
  readonly troubles: KnownTroubles;
  readonly templates: readonly TemplateTruth[];
}

interface TemplateTruth extends Pick<TemplateModel, "namespace" | "version"> {
  readonly task_name: string;
  /** The share of the tasks that are of it while it is current. */
  readonly share: number;
  /** From where to where in the history it is current, as shares of its time. */
  readonly current: readonly [from: number, to: number];
  readonly steps: readonly (Omit<StepModel, "after"> & { readonly after: readonly (string | undefined)[] })[];
}

/** The parameters of the distributions behind a seeded history. */
export function truthOf(parameters: HistoryParameters, { untilUs, lines, tasks, steps }: SeededHistory): HistoryTruth {
  const total = lines.reduce((sum, { weight }) => sum + weight, 0);
  return {
    parameters,
    until: new Date(untilUs / 1000).toISOString(),
    task_count: tasks,
    ended_step_count: steps,
    troubles: knownTroubles(parameters.seed),
    templates: lines.flatMap(({ versions, weight }) =>
      versions.map((template, index) => ({
        namespace: template.namespace,
        task_name: template.name,
        version: template.version,
        share: weight / total,
        current: [index === 0 ? 0 : switchShare, index === versions.length - 1 ? 1 : switchShare] satisfies [
          number,
          number,
        ],
        steps: template.steps.map((step) => ({
          ...step,
          after: step.after.map((parent) => template.steps[parent]?.name),
        })),
      })),
    ),
  };
}
