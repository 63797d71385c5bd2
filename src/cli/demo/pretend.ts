import { sleep, systemClock } from "../../runtime/clock.ts";
import type { StepContext } from "../../workflow/define-task.ts";
import { chanceOf } from "./chance.ts";

/** What makes one task's times differ from another's, and always the same for the same task. */
export interface Pretence {
  /** Names the task's input. */
  readonly subject: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Takes as long as work would: between `fromMs` and `toMs`, or until the attempt is told to end. */
export async function pretendToWork(
  { stepName, attempt, signal }: Pick<StepContext<never, never>, "stepName" | "attempt" | "signal">,
  { subject, fromMs, toMs }: Pretence,
): Promise<void> {
  const ms = fromMs + (toMs - fromMs) * chanceOf(`${stepName} ${subject} ${attempt}`);
  await sleep(systemClock, ms, signal);
  signal.throwIfAborted();
}
