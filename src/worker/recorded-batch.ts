import type { Settlement } from "../engine/settle.ts";

// What the answer to a batch of settlements says; `accepted` has the ids of the steps that were recorded.

/**
 * The settlements that were not recorded. Of several attempts of one step the last is the accepted one: the lease of each other was
 * lost before the next was claimed.
 */
export function lateOf(batch: readonly Settlement[], accepted: ReadonlySet<string>): Settlement[] {
  const last = new Map<string, Settlement>();
  for (const settlement of batch) {
    const { stepId, life, attempt } = settlement.claim;
    const other = last.get(stepId)?.claim;
    const isLater = other === undefined || life > other.life || (life === other.life && attempt > other.attempt);
    if (isLater) last.set(stepId, settlement);
  }
  return batch.filter((one) => !accepted.has(one.claim.stepId) || last.get(one.claim.stepId) !== one);
}

/** The namespaces in which a step that waited for a concurrency limit may start now, here or elsewhere. */
export function freedLimits(batch: readonly Settlement[], accepted: ReadonlySet<string>): number[] {
  return batch.flatMap(({ claim: { limitedNamespaceId: id, stepId } }) =>
    typeof id === "number" && accepted.has(stepId) ? [id] : [],
  );
}
