import type { StepState, TaskState } from "../../src/workflow/states.ts";

/** Milliseconds since the start of the stopped clock. */
export type Time = number;

/** The recorded end of an attempt. */
export interface ModelResult {
  readonly life: number;
  readonly attempt: number;
  readonly succeeded: boolean;
  /** The output, or the error's message. */
  readonly payload: unknown;
}

export interface ModelStep {
  readonly id: string;
  readonly name: string;
  readonly parents: readonly ModelStep[];
  readonly children: ModelStep[];
  state: StepState;
  life: number;
  attempt: number;
  failedAttempts: number;
  availableAt: Time | null;
  owner: string | null;
  leaseEnd: Time | null;
  readyAt: Time | null;
  firstStartedAt: Time | null;
  startedAt: Time | null;
  finishedAt: Time | null;
  readonly results: ModelResult[];
}

export interface ModelTask {
  readonly id: string;
  readonly key: string | undefined;
  readonly input: unknown;
  readonly priority: number;
  readonly runAt: Time | null;
  readonly steps: readonly ModelStep[];
  state: TaskState;
  life: number;
  changedAt: Time;
  endedAt: Time | null;
}

/** How an attempt ended. A failure that leaves attempts waits for `delayMs`. */
export type ModelEnd =
  | { readonly state: "complete"; readonly output: unknown }
  | { readonly state: "error"; readonly message: string }
  | { readonly state: "waiting_for_retry"; readonly message: string; readonly delayMs: number };

/** The right to run an attempt, as it was handed out. */
export interface ModelClaim {
  readonly stepId: string;
  readonly life: number;
  readonly attempt: number;
  readonly owner: string;
}
