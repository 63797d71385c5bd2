/** A trace that cannot be replayed. The message names the trace, the task and what was expected. */
export class TraceError extends Error {
  override readonly name = "TraceError";
  readonly code = "invalid_trace";

  constructor(trace: string, problem: string, options?: ErrorOptions) {
    super(`${trace}: ${problem}`, options);
  }
}
