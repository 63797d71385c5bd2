/** The base of the errors that Tasker itself raises. `code` is stable and machine readable; the message is for people. */
export abstract class TaskerError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The longest wait for another attempt that a handler may ask for. */
const retryDelayMsMax = 7 * 24 * 3600 * 1000;

/** A handler throws it to ask for another attempt, after `delayMs` (default: the step's backoff), if any is left. */
export class RetryableError extends TaskerError {
  readonly code = "retryable";
  readonly delayMs: number | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly delayMs?: number }) {
    super(message, options);
    const delayMs = options?.delayMs;
    if (delayMs !== undefined && !(delayMs >= 0 && delayMs <= retryDelayMsMax)) {
      throw new RangeError(`delayMs must be from 0 to ${retryDelayMsMax} (seven days), got ${delayMs}`);
    }
    this.delayMs = delayMs;
  }
}

/** A handler throws it when another attempt cannot help: the step fails at once. */
export class PermanentError extends TaskerError {
  readonly code = "permanent";
}

/** A definition that cannot be a template. Names the template and what is wrong with it. */
export class InvalidDefinitionError extends TaskerError {
  readonly code = "invalid_definition";
}

/** An input or output that is not JSON, is too large, or does not fit its schema. */
export class InvalidPayloadError extends TaskerError {
  readonly code = "invalid_payload";
}
