import { createHash } from "node:crypto";
import { InvalidDefinitionError } from "./errors.ts";
import type { RetryPolicy } from "./retry.ts";

/** A step of a template as data: what is stored, hashed and shown. */
export interface StepSpec {
  readonly name: string;
  /** The names of its parents, all defined before it. */
  readonly after: readonly string[];
  readonly retry: RetryPolicy;
  /** The longest an attempt may take, in milliseconds; null: as long as its lease is renewed. */
  readonly timeoutMs: number | null;
  /** How many attempts of it may run at once in the whole fleet; left out: as many as there are slots. */
  readonly concurrency?: number;
  /** The longest an attempt may go without a heartbeat, in milliseconds; left out: as long as its lease is renewed. */
  readonly heartbeatTimeoutMs?: number;
}

/** A template as data. Steps stand after their parents. */
export interface TemplateSpec {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly steps: readonly StepSpec[];
}

/** The identity of a template. */
export interface TemplateName {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
}

/** Bounds of a definition, each with the sentence that names it when it is broken. */
export const templateLimits = Object.freeze({
  steps: 10_000,
  parents: 10_000,
  timeoutMs: 24 * 3600 * 1000,
  attempts: 1000,
  concurrency: 1_000_000,
});

const namespacePattern = /^[a-z][a-z0-9_-]{0,62}$/u;
const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/u;
const versionPattern = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/u;

/** `shop/fulfil_order 1.0.0`, as messages name a template. */
export function templateLabel(template: TemplateName): string {
  return `${template.namespace}/${template.name} ${template.version}`;
}

/**
 * Checks a definition and returns it unchanged.
 *
 * @throws InvalidDefinitionError naming the template, the step and the allowed values
 */
export function checkTemplate(spec: TemplateSpec): TemplateSpec {
  const label = templateLabel(spec);
  const fail = (problem: string): never => {
    throw new InvalidDefinitionError(`Template ${label}: ${problem}`);
  };
  if (!namespacePattern.test(spec.namespace)) {
    fail("the namespace must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter");
  }
  if (!namePattern.test(spec.name))
    fail("the name must be 1 to 128 of letters, digits, _ . -, beginning with a letter");
  if (!versionPattern.test(spec.version)) fail("the version must be 1 to 64 of letters, digits, _ . + -");
  if (spec.steps.length === 0) fail("it has no steps");
  if (spec.steps.length > templateLimits.steps) {
    fail(`it has ${spec.steps.length} steps; at most ${templateLimits.steps} are allowed`);
  }
  const defined = new Set<string>();
  for (const step of spec.steps) {
    const of = `step ${JSON.stringify(step.name)}`;
    if (!namePattern.test(step.name)) {
      fail(`${of}: a step's name must be 1 to 128 of letters, digits, _ . -, beginning with a letter`);
    }
    if (defined.has(step.name)) fail(`${of} is defined twice`);
    if (new Set(step.after).size !== step.after.length) fail(`${of} names a parent twice in "after"`);
    for (const parent of step.after) {
      if (!defined.has(parent)) {
        fail(`${of} comes after ${JSON.stringify(parent)}, which is not defined above it`);
      }
    }
    checkPolicy(step, (problem) => fail(`${of}: ${problem}`));
    defined.add(step.name);
  }
  return spec;
}

function checkPolicy(step: StepSpec, fail: (problem: string) => never): void {
  const { retry, timeoutMs, concurrency, heartbeatTimeoutMs } = step;
  const within = (name: string, value: number, min: number, max: number, whole: boolean): void => {
    if (!(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
      fail(`${name} must be ${whole ? "a whole number " : ""}from ${min} to ${max}, got ${value}`);
    }
  };
  within("retry.maxAttempts", retry.maxAttempts, 1, templateLimits.attempts, true);
  within("retry.initialDelayMs", retry.initialDelayMs, 0, templateLimits.timeoutMs, false);
  within("retry.factor", retry.factor, 1, 100, false);
  within("retry.maxDelayMs", retry.maxDelayMs, 0, templateLimits.timeoutMs, false);
  if (timeoutMs !== null) within("timeoutMs", timeoutMs, 1, templateLimits.timeoutMs, true);
  if (concurrency !== undefined) within("concurrency", concurrency, 1, templateLimits.concurrency, true);
  if (heartbeatTimeoutMs !== undefined)
    within("heartbeatTimeoutMs", heartbeatTimeoutMs, 1, templateLimits.timeoutMs, true);
}

/** The hash of everything in the definition: another hash is another revision. */
export function definitionHash(spec: TemplateSpec, inputSchema: unknown): string {
  return sha256(
    JSON.stringify([
      // What came later stands at the end, and only where it is given: definitions without it keep their hash.
      spec.steps.map((s) => [s.name, s.after, policyOf(s), s.timeoutMs, ...laterOptions(s)]),
      inputSchema ?? null,
    ]),
  );
}

/** The hash of the steps' names and dependencies alone: it may not change under one version once tasks exist. */
export function graphHash(spec: TemplateSpec): string {
  return sha256(JSON.stringify(spec.steps.map((s) => JSON.stringify([s.name, s.after.toSorted()])).toSorted()));
}

function laterOptions({ concurrency, heartbeatTimeoutMs }: StepSpec): readonly object[] {
  const given = concurrency !== undefined || heartbeatTimeoutMs !== undefined;
  return given ? [{ concurrency, heartbeatTimeoutMs }] : [];
}

function policyOf(step: StepSpec): readonly number[] {
  const { maxAttempts, initialDelayMs, factor, maxDelayMs } = step.retry;
  return [maxAttempts, initialDelayMs, factor, maxDelayMs];
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
