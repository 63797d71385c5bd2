import fc from "fast-check";

import type { Delta } from "./fact-writer.ts";
import type { Fact, Microseconds, Outcome } from "./recount.ts";

// Random histories: what is written, by whom, and what goes wrong meanwhile.

export const day = 24 * 3600e6;
export const firstNow = Date.UTC(2026, 2, 10) * 1000;

/** Moves a time down to an edge of its minute, hour or day, and a microsecond beyond or before it. */
export interface Snap {
  readonly toUs: number;
  readonly nudgeUs: number;
}

const snap: fc.Arbitrary<Snap> = fc.record({
  toUs: fc.constantFrom(1, 1, 60e6, 3600e6, day),
  nudgeUs: fc.constantFrom(0, 0, 1, -1),
});

export function snapped(at: Microseconds, { toUs, nudgeUs }: Snap): Microseconds {
  return Math.floor(at / toUs) * toUs + nudgeUs;
}

const durationUs = fc.oneof(fc.constantFrom(0, 1, 2), fc.integer({ min: 0, max: 100_000 }), fc.nat(7_200_000_000));
/** Also ahead of the present: the database's clock may have been set back. */
const agoUs = fc.oneof(fc.nat(3600e6), fc.integer({ min: 0, max: 5 * day }), fc.integer({ min: -3 * 3600e6, max: 0 }));
const stepOutcomes: readonly Outcome[] = [
  "complete",
  "complete",
  "complete",
  "error",
  "cancelled",
  "resolved_manually",
  "skipped",
  "blocked",
];
const taskOutcomes: readonly Outcome[] = ["complete", "complete", "error", "cancelled", "resolved_manually"];

/** The templates are 4 and 5; the first two steps are of one, the third of the other. */
export const templateOf: Readonly<Record<number, number>> = { 1: 4, 2: 4, 3: 5, 4: 4, 5: 5 };

/** A fact whose time is still relative to the case's present. */
export type RelativeFact = Omit<Fact, "endedAt"> & { readonly agoUs: number; readonly snap: Snap };

const fact: fc.Arbitrary<RelativeFact> = fc.boolean().chain((isStep) =>
  fc.record({
    subject: fc.constant(isStep ? ("step" as const) : ("task" as const)),
    identity: isStep ? fc.integer({ min: 1, max: 3 }) : fc.integer({ min: 4, max: 5 }),
    agoUs,
    snap,
    outcome: fc.constantFrom(...(isStep ? stepOutcomes : taskOutcomes)),
    reopened: fc.boolean(),
    durationUs,
    dependencyWaitUs: durationUs,
    queueWaitUs: durationUs,
    retryUs: durationUs,
    attempts: fc.nat(5),
    failedAttempts: fc.nat(4),
    stepCount: fc.nat(9),
    failedStepCount: fc.nat(3),
    fromState: fc.constantFrom(null, "pending", "in_progress"),
  }),
);

export type RelativeDelta = Omit<Delta, "recordedAt"> & { readonly agoUs: number };

const delta: fc.Arbitrary<RelativeDelta> = fc.record({
  identity: fc.integer({ min: 4, max: 5 }),
  subject: fc.constantFrom("step", "task"),
  state: fc.constantFrom("pending", "in_progress", "complete"),
  delta: fc.integer({ min: -2, max: 3 }),
  agoUs,
});

const writing = fc.record({ facts: fc.array(fact, { maxLength: 8 }), deltas: fc.array(delta, { maxLength: 3 }) });
const hours = fc.oneof(fc.constantFrom(0, 1, 2, 23, 24, 25, 47, 48, 49, 72), fc.integer({ min: 1, max: 100 }));
const slot = fc.nat(2);

/** About a quarter of the histories meet each of the last: they let go what the server has planned, which costs the most. */
const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("write" as const), writing }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("write late" as const), slot, writing }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("end" as const), slot, how: fc.constantFrom("commit", "rollback") }),
  },
  { weight: 9, arbitrary: fc.record({ do: fc.constant("fold" as const), rows: fc.constantFrom(1, 3, 10, 1000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("check" as const), hours }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const), after: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("step clock" as const), byUs: fc.integer({ min: -day, max: day }), snap }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("expire" as const),
      factsDays: fc.integer({ min: 2, max: 3 }),
      hoursDays: fc.integer({ min: 2, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("move" as const) }) },
);

export type Action = typeof action extends fc.Arbitrary<infer One> ? One : never;

export const history = fc.record({
  nowUs: fc.nat(day),
  nowSnap: snap,
  actions: fc.array(action, { minLength: 4, maxLength: 16 }),
  windows: fc.array(hours, { minLength: 1, maxLength: 2 }),
  ids: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 5 }))),
});
