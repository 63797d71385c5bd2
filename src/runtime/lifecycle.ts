/** A part of the process with a beginning and an end. `start` and `stop` are idempotent; `stop` never rejects. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}
