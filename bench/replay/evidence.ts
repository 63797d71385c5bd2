import type { Answered } from "./answered.ts";
import { checkAnswers } from "./check-answers.ts";
import { checkExecution } from "./check-execution.ts";
import type { Call } from "./recorder.ts";
import type { Stored } from "./stored.ts";
import type { Trace } from "./trace.ts";
import { Violations } from "./violations.ts";

/** One run of a trace. */
export interface Run {
  readonly taskId: string;
  /** From the submission to the news of the task's end, in milliseconds. */
  readonly wallMs: number;
}

export interface LabelledAnswers {
  readonly label: string;
  readonly answered: Answered;
}

/** Everything that is known of the replays of a trace. */
export interface Evidence {
  readonly trace: Trace;
  readonly runs: readonly Run[];
  /** Of all runs, in the order of their ends. */
  readonly calls: readonly Call[];
  readonly stored: Stored;
  readonly answers: readonly LabelledAnswers[];
}

/**
 * What is wrong, a sentence per rule; nothing, if the product keeps its promises. The runs' tasks are checked against what
 * their handlers saw, the answers against all tasks of the template that are stored.
 */
export function violationsOf({ trace, runs, calls, stored, answers }: Evidence): string[] {
  const violations = new Violations();
  for (const { taskId } of runs) {
    checkExecution(
      trace,
      {
        task: stored.tasks.find((task) => task.id === taskId),
        calls: calls.filter((call) => call.taskId === taskId),
        steps: stored.steps.filter((step) => step.taskId === taskId),
      },
      violations,
    );
  }
  for (const { label, answered } of answers) checkAnswers(label, stored, answered, violations);
  return violations.sentences();
}
