import type { Settlement } from "../../src/engine/settle.ts";
import { encodeError } from "../../src/engine/settle.ts";
import { PermanentError, RetryableError } from "../../src/workflow/errors.ts";
import { decideAfterFailure, type RetryPolicy } from "../../src/workflow/retry.ts";
import { StepTimeoutError } from "../../src/worker/handler-error.ts";
import type { Held } from "../support/engine.ts";
import type { ModelEnd, ModelStep } from "./model-states.ts";

/** The end that an attempt comes to, as its worker and as the model say it. */
export interface Ended {
  readonly held: Held;
  readonly settlement: Settlement;
  readonly end: ModelEnd;
}

/** In place of chance: every backoff is half of its bound. */
export const random = 0.5;
const ownDelayMs = 7000;

/** Success, a failure that may be tried again, one with a delay of its own, one for good, a timeout: as `draw` says. */
export function endOf(retry: RetryPolicy, held: Held, draw: number): Ended {
  const { life, attempt, failedAttempts } = held;
  const settlement = (end: Settlement["end"]): Settlement => ({ claim: held, owner: held.owner, runUs: draw, end });
  if (draw % 10 < 5) {
    const output = [life, attempt, draw];
    const end = { state: "complete", output: JSON.stringify(output) } as const;
    return { held, settlement: settlement(end), end: { state: "complete", output } };
  }
  const message = `${draw} failed`;
  const errors = [
    new Error(message),
    new Error(message),
    new RetryableError(message, { delayMs: ownDelayMs }),
    new PermanentError(message),
    new StepTimeoutError(message),
  ];
  const error = errors[draw % errors.length];
  const decision = decideAfterFailure(retry, failedAttempts + 1, error, random);
  const delayMs = error instanceof RetryableError ? ownDelayMs : undefined;
  const isFinal = error instanceof PermanentError;
  const end: ModelEnd = isFinal ? { state: "error", message } : failedEnd(retry, failedAttempts + 1, message, delayMs);
  return { held, settlement: settlement({ ...decision, error: encodeError(error) }), end };
}

/** What becomes of a step whose attempt failed for the n-th time: exponential backoff, unless it asked for a delay. */
export function failedEnd(retry: RetryPolicy, failures: number, message: string, delayMs?: number): ModelEnd {
  if (failures >= retry.maxAttempts) return { state: "error", message };
  const boundMs = Math.min(retry.maxDelayMs, retry.initialDelayMs * retry.factor ** (failures - 1));
  return { state: "waiting_for_retry", message, delayMs: delayMs ?? boundMs / 2 };
}

/** A batch names each attempt once. */
export function distinct(claims: readonly Held[]): Held[] {
  return [
    ...new Map(claims.map((held) => [`${held.stepId} ${held.life} ${held.attempt} ${held.owner}`, held])).values(),
  ];
}

/** The outputs of the parents by name; a parent resolved without one has none. */
export function outputsFor({ parents }: ModelStep): Record<string, unknown> | null {
  if (parents.length === 0) return null;
  const output = ({ results }: ModelStep): unknown => results.find(({ succeeded }) => succeeded)?.payload ?? null;
  return Object.fromEntries(parents.map((parent) => [parent.name, output(parent)]));
}
