import { type AnyTaskDefinition, defineTask } from "../../src/workflow/define-task.ts";
import { deferred } from "../support/deferred.ts";
import { Calls } from "./setup.ts";

/** One attempt of a step that the test ends. */
export interface Call {
  readonly signal: AbortSignal;
  readonly attempt: number;
  readonly finish: (output: unknown) => void;
  readonly fail: (error: Error) => void;
}

/** A template of one step, and the calls of its handler. */
export interface Handled {
  readonly calls: Calls<Call>;
  readonly definition: AnyTaskDefinition;
}

/** A template of one step whose attempts the test ends. */
export function handled(name: string): Handled {
  const calls = new Calls<Call>();
  const definition = defineTask({ namespace: "shop", name, version: "1.0.0" }).step(
    "only",
    ({ signal, attempt }) =>
      new Promise<unknown>((finish, fail) => {
        calls.add({ signal, attempt, finish, fail });
      }),
  );
  return { calls, definition };
}

/** Resolves when the signal aborts, to the code of its reason. */
export async function abortOf(signal: AbortSignal): Promise<unknown> {
  if (!signal.aborted) {
    const { promise, resolve } = deferred();
    signal.addEventListener("abort", () => resolve());
    await promise;
  }
  const reason: unknown = signal.reason;
  return reason instanceof Error && "code" in reason ? reason.code : reason;
}
