/** A computation did not end within its deadline, waiting for its turn included. */
export class ComputeTimeoutError extends Error {
  override readonly name = "ComputeTimeoutError";
  readonly code = "compute_timeout";

  constructor(resource: string, timeoutMs: number) {
    super(`Computing ${resource} did not end within ${timeoutMs} ms`);
  }
}

/** So many computations wait for their turn that another one was not begun. */
export class ComputeOverloadedError extends Error {
  override readonly name = "ComputeOverloadedError";
  readonly code = "compute_overloaded";

  constructor(resource: string, waitingMax: number) {
    super(`Computing ${resource} was not begun: ${waitingMax} computations already wait for their turn`);
  }
}
