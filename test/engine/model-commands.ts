import fc from "fast-check";

import type { ModelTask } from "./model-states.ts";

const kinds = [
  ...Array.from({ length: 8 }, () => "claim" as const),
  ...Array.from({ length: 8 }, () => "settle" as const),
  ...Array.from({ length: 6 }, () => "move clock" as const),
  "settle at once",
  "settle late",
  "create",
  "rescue",
  "rescue",
  "renew",
  "release",
  "cancel",
  "reset",
  "reset",
  "reset",
  "resolve step",
  "complete manually",
  "resolve task",
  "fold",
] as const;

/** A command. `worker` is one of the two, `pick` chooses among what there is. */
export interface Command {
  readonly kind: (typeof kinds)[number];
  readonly worker: number;
  readonly pick: number;
  readonly count: number;
}

export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...kinds),
    worker: fc.nat(1),
    pick: fc.nat(10_000),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 8, maxLength: 40, size: "max" },
);

/** A few keys and inputs: most creations with a key meet one that was there before, some in the same call. */
export function creationsOf(
  pick: number,
  count: number,
  nowMs: number,
): Pick<ModelTask, "key" | "input" | "priority" | "runAt">[] {
  return Array.from({ length: Math.min(2, count) }, (_, index) => {
    const draw = pick + index * 7;
    const runAt = draw % 5 === 0 ? nowMs + ((draw % 4) - 1) * 10_000 : null;
    const key = draw % 3 === 0 ? undefined : `key ${draw % 2}`;
    return { key, input: draw % 4 === 1 ? 1 : 0, priority: draw % 3, runAt };
  });
}
