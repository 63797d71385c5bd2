import type { Claim } from "../engine/claim.ts";
import { readProgress } from "../engine/heartbeats.ts";
import { type AttemptEnd, encodeError } from "../engine/settle.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import { checkInput } from "../templates/input-schema.ts";
import type { RegisteredStep, TaskHandlerRegistry } from "../templates/task-handler-registry.ts";
import { encodePayload, progressBytesMax } from "../workflow/payload.ts";
import { decideAfterFailure } from "../workflow/retry.ts";
import { templateLabel } from "../workflow/template.ts";
import { withTimeLimits } from "./time-limits.ts";

/** What an attempt needs of its process. */
export interface AttemptHost {
  readonly sql: Sql;
  readonly registry: TaskHandlerRegistry;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Notes that the attempt is alive, and how far it is (JSON text). */
  readonly heartbeat: (progress: string | undefined) => void;
}

/** How an attempt ended, and how long its handler ran by the monotonic clock. */
export interface AttemptResult {
  readonly end: AttemptEnd;
  readonly runUs: number;
  /** What the handler threw; undefined when it returned. */
  readonly error: unknown;
}

/** Runs one attempt of a step's handler to its end or its timeout. Never rejects. */
export async function runAttempt(
  host: AttemptHost,
  step: RegisteredStep,
  claim: Claim,
  controller: AbortController,
): Promise<AttemptResult> {
  const label = templateLabel(step.definition.name);
  let retry = step.spec.retry;
  let startedMs = host.clock.monotonicMs();
  let isOver = false;
  let ranUs: number | undefined;
  const stopWatch = (): number => Math.round((host.clock.monotonicMs() - startedMs) * 1000);
  try {
    const spec = await host.registry.pinnedSpec(host.sql, claim.revisionId, step);
    retry = spec.retry;
    const input = claim.inputChecked ? claim.input : await checkedInput(step, claim, `the input of ${label}`);
    startedMs = host.clock.monotonicMs();
    const what = `the progress of step ${spec.name} of ${label}`;
    const output = await withTimeLimits(host.clock, spec, controller, (beat) =>
      // The types of the definition were checked when it was written; here they are only JSON.
      step.handler({
        input: input as never,
        results: (claim.results ?? {}) as never,
        attempt: claim.attempt,
        idempotencyKey: claim.stepId,
        signal: controller.signal,
        taskId: claim.taskId,
        stepName: step.spec.name,
        correlationId: claim.correlationId,
        heartbeat(progress) {
          const text = progress === undefined ? undefined : encodePayload(progress, what, progressBytesMax);
          // A handler that goes on after its end tells nothing any more.
          if (isOver || controller.signal.aborted) return;
          beat();
          host.heartbeat(text);
        },
        lastProgress: () => readProgress(host.sql, claim),
      }),
    );
    ranUs = stopWatch();
    const text = encodePayload(output, `the output of step ${step.spec.name} of ${label}`);
    return { end: { state: "complete", output: text }, runUs: ranUs, error: undefined };
  } catch (error) {
    const decision = decideAfterFailure(retry, claim.failedAttempts + 1, error, host.random());
    return { end: { ...decision, error: encodeError(error) }, runUs: ranUs ?? stopWatch(), error: error ?? "unknown" };
  } finally {
    isOver = true;
  }
}

/** The input as it would be stored had it been checked at creation: handlers see the same wherever it was checked. */
async function checkedInput({ definition }: RegisteredStep, { input }: Claim, what: string): Promise<unknown> {
  if (definition.schema === undefined) return input;
  return JSON.parse(encodePayload(await checkInput(definition.schema, input, what), what));
}
