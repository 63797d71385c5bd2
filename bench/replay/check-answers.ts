import type { Answered } from "./answered.ts";
import { checkBottlenecks } from "./check-bottlenecks.ts";
import { windowOf } from "./check-durations.ts";
import { checkPerformance } from "./check-performance.ts";
import { checkSteps } from "./check-steps.ts";
import { expectedSteps } from "./expected.ts";
import type { Stored } from "./stored.ts";
import type { Violations } from "./violations.ts";

/**
 * Checks that the analytics answer what follows from the single rows: counts, sums, means and maxima exactly, percentiles
 * within 1 % of the nearest rank.
 *
 * @param label names the answers in violations ("24 h, folded")
 */
export function checkAnswers(label: string, stored: Stored, answered: Answered, violations: Violations): void {
  checkPerformance(label, stored, answered.performance, violations);
  checkSteps(label, expectedSteps(stored, windowOf(answered.performance)), answered.steps, violations);
  for (const bottlenecks of answered.bottlenecks) checkBottlenecks(label, stored, bottlenecks, violations);
}
