import { TaskerError } from "../workflow/errors.ts";
import type { TaskOutcome } from "./read-task.ts";

/** There is no such task or step (or the caller may not see it). */
export class NotFoundError extends TaskerError {
  readonly code = "not_found";
}

/** The state that was found does not allow the change; nothing was written. */
export class WrongStateError extends TaskerError {
  readonly code = "wrong_state";
}

/** The idempotency key was used before, with another input. */
export class IdempotencyConflictError extends TaskerError {
  readonly code = "idempotency_conflict";
}

/** A task that was waited for ended otherwise than complete. */
export class TaskFailedError extends TaskerError {
  readonly code = "task_failed";
  readonly outcome: TaskOutcome;

  constructor(outcome: TaskOutcome) {
    const { id, state, failure } = outcome;
    const why =
      failure === null ? "" : `: step ${failure.step} failed with ${failure.error.name}: ${failure.error.message}`;
    super(`Task ${id} ended as ${state}${why}`, failure === null ? undefined : { cause: failure.error });
    this.outcome = outcome;
  }
}
