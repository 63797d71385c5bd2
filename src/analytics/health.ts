import type { HealthFactor, PerformanceMetrics } from "./answers.ts";
import type { HealthCounts, WindowMetrics } from "./performance-queries.ts";

/** A claimable step younger than this is no backlog; from `backlogSecondsMax` on nothing could be worse. */
const backlogSecondsMin = 60;
const backlogSecondsMax = 600;

/** The health: each factor in 0..1 with a sentence, the score is the lowest; null where there is no evidence. */
export function assessHealth(
  metrics: Pick<WindowMetrics, "completed_tasks" | "failed_tasks" | "completion_rate">,
  counts: Pick<HealthCounts, "running_steps" | "running_steps_alive" | "oldest_claimable_seconds">,
): Pick<PerformanceMetrics, "system_health_score" | "health_factors"> {
  const health_factors = { success: success(metrics), liveness: liveness(counts), backlog: backlog(counts) };
  const scores = Object.values(health_factors).flatMap(({ score }) => (score === null ? [] : [score]));
  return { system_health_score: scores.length === 0 ? null : Math.min(...scores), health_factors };
}

function success(metrics: Pick<WindowMetrics, "completed_tasks" | "failed_tasks" | "completion_rate">): HealthFactor {
  const { completed_tasks, failed_tasks, completion_rate } = metrics;
  if (completion_rate === null) return { score: null, explanation: "No task completed or failed in the window." };
  const ended = completed_tasks + failed_tasks;
  return { score: completion_rate, explanation: `${completed_tasks} of ${ended} tasks that ended completed.` };
}

function liveness(counts: Pick<HealthCounts, "running_steps" | "running_steps_alive">): HealthFactor {
  const { running_steps, running_steps_alive } = counts;
  if (running_steps === 0) return { score: null, explanation: "No step is running." };
  return {
    score: running_steps_alive / running_steps,
    explanation: `${running_steps_alive} of ${running_steps} running steps have a live lease.`,
  };
}

function backlog({ oldest_claimable_seconds: oldest }: Pick<HealthCounts, "oldest_claimable_seconds">): HealthFactor {
  if (oldest === null) return { score: null, explanation: "No step waits for a worker." };
  const worse = (oldest - backlogSecondsMin) / (backlogSecondsMax - backlogSecondsMin);
  return {
    score: 1 - Math.min(1, Math.max(0, worse)),
    explanation: `The oldest step that could run has waited ${oldest.toFixed(1)} s for a worker.`,
  };
}
