import type { TaskOutcome } from "../../engine/read-task.ts";
import { type TemplateName, templateLabel } from "../../workflow/template.ts";
import { duration, plural } from "../format.ts";
import type { Demo } from "./demo.ts";
import { demoDefinitions, type DemoTask, demoTask } from "./workload.ts";

/** Where nobody watches a living line, a line is printed each time so many tasks have ended. */
const printEach = 20;

/**
 * Submits a batch of tasks and waits until all have ended, telling how far they are.
 *
 * @returns how they ended; undefined when the process is to stop before that
 */
export async function runFirstBatch(
  demo: Demo,
  firstNumber: number,
  size: number,
): Promise<readonly TaskOutcome[] | undefined> {
  const { terminal, clock, stop } = demo;
  const startedMs = clock.monotonicMs();
  const passed = (): string => duration((clock.monotonicMs() - startedMs) / 1000);
  // The earlier ones first: steps that take turns would have all tasks end together, at the end.
  const tasks = Array.from({ length: size }, (_, index) => ({
    ...demoTask(firstNumber + index),
    priority: size - index,
  }));
  const labels = demoDefinitions.map(({ name }) => templateLabel(name)).join(", ");
  terminal.print(`${plural(size, "task")} of ${labels}:`);
  const ids = (await Promise.all(demoDefinitions.map(({ name }) => submit(demo, name, tasks)))).flat();

  let ended = 0;
  const wait = async (id: string): Promise<TaskOutcome> => {
    const outcome = await demo.outcomes.wait(id);
    ended += 1;
    terminal.live(`  ${ended} of ${size} ended, ${passed()}`);
    if (!terminal.isInteractive && ended % printEach === 0) terminal.print(`  ${ended} of ${size} ended, ${passed()}`);
    return outcome;
  };
  const outcomes = await Promise.race([Promise.all(ids.map(wait)), stop.requested]);
  terminal.live("");
  if (outcomes === undefined) return undefined;
  terminal.print(`  all ended in ${passed()}: ${statesOf(outcomes)}`);
  const failure = outcomes.find((outcome) => outcome.failure !== null)?.failure;
  if (failure !== undefined && failure !== null) {
    terminal.print(`  the first failure: step ${failure.step}, ${failure.error.name}: ${failure.error.message}`);
  }
  terminal.print();
  return outcomes;
}

/** Submits those of the tasks that are of one template, in one statement. */
async function submit(
  { submitter }: Demo,
  template: TemplateName,
  tasks: readonly (DemoTask & { readonly priority: number })[],
): Promise<string[]> {
  const created = await submitter.submit(
    template,
    tasks.filter((task) => task.template === template),
  );
  return created.map(({ id }) => id);
}

function statesOf(outcomes: readonly TaskOutcome[]): string {
  const counts = new Map<string, number>();
  for (const { state } of outcomes) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
}
