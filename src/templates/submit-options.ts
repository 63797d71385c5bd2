import { InvalidPayloadError } from "../workflow/errors.ts";

/** What a caller may say of a task beside its input. */
export interface SubmitOptions {
  /** A second submission to the template under the same key returns the first task; with another input it is refused. */
  readonly idempotencyKey?: string | undefined;
  /** The caller's own id for what the task belongs to. */
  readonly correlationId?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Higher runs first; -32768 to 32767, default 0. */
  readonly priority?: number | undefined;
  /** The task's steps are not claimed before. */
  readonly runAt?: Date | undefined;
}

/** Texts that Postgres can store and a log can show. An idempotency key stands in an index, whose entries are bounded. */
const keyPattern = /^[^\p{Cc}\p{Cs}]{1,255}$/u;
const tagPattern = /^[^\p{Cc}\p{Cs}]{1,100}$/u;
const tagsMax = 20;
/** What a `Date` and Postgres both take. */
const runAtRange = { minMs: Date.UTC(1970, 0, 1), maxMs: Date.UTC(9999, 11, 31, 23, 59, 59, 999) };

/**
 * Checks what the database would refuse in words of its own, or not at all.
 *
 * @param what names the submission ("a task of shop/fulfil_order 1.0.0")
 * @throws InvalidPayloadError naming the option and what is allowed
 */
export function checkSubmitOptions(options: SubmitOptions, what: string): void {
  const { idempotencyKey = "-", correlationId = "-", tags = [], priority = 0, runAt } = options;
  const refuse = (option: string, expected: string): never => {
    throw new InvalidPayloadError(`${option} of ${what} must be ${expected}`);
  };
  const keyExpected = "a text of 1 to 255 characters without control characters";
  if (!keyPattern.test(idempotencyKey)) refuse("idempotencyKey", keyExpected);
  if (!keyPattern.test(correlationId)) refuse("correlationId", keyExpected);
  if (tags.length > tagsMax || !tags.every((tag) => tagPattern.test(tag))) {
    refuse("tags", `at most ${tagsMax} texts of 1 to 100 characters without control characters`);
  }
  if (!Number.isInteger(priority) || priority < -32_768 || priority > 32_767) {
    refuse("priority", `a whole number from -32768 to 32767, not ${priority}`);
  }
  const runAtMs = runAt?.getTime() ?? runAtRange.minMs;
  if (!(runAtMs >= runAtRange.minMs && runAtMs <= runAtRange.maxMs)) refuse("runAt", "a date from 1970 to 9999");
}
