import { TaskerError } from "../workflow/errors.ts";

/** The attempt took longer than its step's `timeoutMs`. */
export class StepTimeoutError extends TaskerError {
  readonly code = "step_timeout";
}

/** The attempt sent no heartbeat for longer than its step's `heartbeatTimeoutMs`. */
export class HeartbeatTimeoutError extends TaskerError {
  readonly code = "heartbeat_timeout";
}

/** Why a handler's signal aborted although it did nothing wrong: what it sends later counts for nothing. */
export class LeaseLostError extends TaskerError {
  readonly code = "lease_lost";
}

/** The worker stops; the step goes back to the queue. */
export class WorkerStoppingError extends TaskerError {
  readonly code = "worker_stopping";
}
