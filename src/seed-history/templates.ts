import type { StepSpec, TemplateSpec } from "../workflow/template.ts";
import type { HistoryParameters } from "./parameters.ts";
import { Random } from "./random.ts";

/** How a step behaves. Run times are log-normal. */
export interface StepModel {
  readonly name: string;
  /** The positions of its parents. */
  readonly after: readonly number[];
  /** Median run time of an attempt, in microseconds. */
  readonly medianRunUs: number;
  /** Deviation of the run time's logarithm. */
  readonly sigma: number;
  /** The share of attempts that fail. */
  readonly attemptFailureShare: number;
  readonly maxAttempts: number;
}

/** A template as it behaves. Steps stand after their parents. */
export interface TemplateModel {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly steps: readonly StepModel[];
}

/** The versions of one template, of which a task gets the one that is current when it is created. */
export interface TemplateLine {
  /** The older first. */
  readonly versions: readonly TemplateModel[];
  /** How often tasks are of it, beside the others. */
  readonly weight: number;
}

/** Where in the history, as a share of its time, the newer version replaces the older. */
export const switchShare = 0.5;

/** What is wrong in every history, and should be found. */
export interface KnownTroubles {
  /** Runs far longer than all others. */
  readonly slowStep: StepName;
  /** Its attempts fail often; most executions succeed by a retry. */
  readonly flakyStep: StepName;
  /** Slower by `factor` in the newer version. */
  readonly regressedStep: StepName & { readonly olderVersion: string; readonly factor: number };
}

interface StepName {
  readonly namespace: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
}

interface Kind {
  readonly name: string;
  readonly medianRunUs: number;
  readonly sigma: number;
  readonly attemptFailureShare: number;
}

const kinds: readonly Kind[] = [
  { name: "validate_input", medianRunUs: 4_000, sigma: 0.4, attemptFailureShare: 0.001 },
  { name: "load_records", medianRunUs: 30_000, sigma: 0.7, attemptFailureShare: 0.002 },
  { name: "call_gateway", medianRunUs: 180_000, sigma: 0.9, attemptFailureShare: 0.02 },
  { name: "transform_rows", medianRunUs: 900_000, sigma: 0.6, attemptFailureShare: 0.003 },
  { name: "render_document", medianRunUs: 2_500_000, sigma: 0.8, attemptFailureShare: 0.005 },
  { name: "transfer_files", medianRunUs: 7_000_000, sigma: 1, attemptFailureShare: 0.015 },
  { name: "store_result", medianRunUs: 60_000, sigma: 0.6, attemptFailureShare: 0.002 },
  { name: "notify_subscribers", medianRunUs: 120_000, sigma: 0.7, attemptFailureShare: 0.01 },
];

const subjects = ["catalog", "customers", "inventory", "invoices", "ledger", "media", "payments", "shipments"];
const verbs = ["import", "reconcile", "publish", "archive", "audit", "enrich"];

/** The kinds of the three templates with known troubles. */
const troubledSteps = [0, 1, 2, 6] as const;
const regressionFactor = 2.5;
const slowRunUs = 40_000_000;
const flakyShare = 0.4;
const maxAttempts = 3;

/** Makes exactly as many templates and steps as are asked for, in namespaces that only this seed uses. */
export function planTemplates({ identities, seed }: HistoryParameters): readonly TemplateLine[] {
  const random = new Random(seed, 1);
  const lines: (readonly TemplateModel[])[] = [fulfilOrder(seed), [nightlyReport(seed)], [processDocument(seed)]];
  let left = identities - sizeOf(lines.flat());
  while (left > 1) {
    let steps = Math.min(random.between(3, 8), left - 1);
    // One identity that is left over makes no template.
    if (left - 1 - steps === 1) steps += 1;
    const index = lines.length;
    const name = `${verbs[index % verbs.length]}_${subjects[Math.floor(index / verbs.length) % subjects.length]}_${index}`;
    const older = { namespace: `${prefixOf(seed)}-data`, name, version: "1.0.0", steps: graphOf(random, steps) };
    left -= 1 + steps;
    const hasNewer = index % 3 === 0 && left !== 2 + steps && left >= 1 + steps;
    if (hasNewer) left -= 1 + steps;
    lines.push(hasNewer ? [older, { ...older, version: "2.0.0" }] : [older]);
  }
  // Zipf: few templates make most of the load.
  return lines.map((versions, index) => ({ versions, weight: 1 / (index + 1) }));
}

/** What is wrong in the history of this seed. */
export function knownTroubles(seed: number): KnownTroubles {
  const of = (template: TemplateModel, step_name: string): StepName => {
    const { namespace, name: task_name, version } = template;
    return { namespace, task_name, version, step_name };
  };
  const [older, newer] = fulfilOrder(seed);
  return {
    slowStep: of(nightlyReport(seed), "transform_rows"),
    flakyStep: of(processDocument(seed), "call_gateway"),
    regressedStep: { ...of(newer, "call_gateway"), olderVersion: older.version, factor: regressionFactor },
  };
}

/** The namespaces of a seed's history begin so. */
export function prefixOf(seed: number): string {
  return `seed${seed}`;
}

/** The template as it is registered. */
export function specOf({ namespace, name, version, steps }: TemplateModel): TemplateSpec {
  const spec = (step: StepModel): StepSpec => ({
    name: step.name,
    after: step.after.flatMap((parent) => steps[parent]?.name ?? []),
    retry: { maxAttempts: step.maxAttempts, initialDelayMs: 1000, factor: 2, maxDelayMs: 60_000 },
    timeoutMs: null,
  });
  return { namespace, name, version, steps: steps.map(spec) };
}

function sizeOf(templates: readonly TemplateModel[]): number {
  return templates.reduce((total, { steps }) => total + 1 + steps.length, 0);
}

function fulfilOrder(seed: number): readonly [older: TemplateModel, newer: TemplateModel] {
  const steps = chain(troubledSteps);
  const older = { namespace: `${prefixOf(seed)}-shop`, name: "fulfil_order", version: "1.0.0", steps };
  const regressed = change(steps, "call_gateway", (step) => ({
    ...step,
    medianRunUs: step.medianRunUs * regressionFactor,
  }));
  return [older, { ...older, version: "1.1.0", steps: regressed }];
}

function nightlyReport(seed: number): TemplateModel {
  const steps = change(chain([0, 1, 3, 6]), "transform_rows", (step) => ({
    ...step,
    medianRunUs: slowRunUs,
    sigma: 0.4,
  }));
  return { namespace: `${prefixOf(seed)}-reports`, name: "nightly_report", version: "1.0.0", steps };
}

function processDocument(seed: number): TemplateModel {
  const steps = change(chain(troubledSteps), "call_gateway", (step) => ({
    ...step,
    attemptFailureShare: flakyShare,
    maxAttempts: 5,
  }));
  return { namespace: `${prefixOf(seed)}-data`, name: "process_document", version: "1.0.0", steps };
}

function chain(of: readonly number[]): readonly StepModel[] {
  return of.map((kind, index) => stepOf(kind, index === 0 ? [] : [index - 1], ""));
}

function change(steps: readonly StepModel[], name: string, to: (step: StepModel) => StepModel): readonly StepModel[] {
  return steps.map((step) => (step.name === name ? to(step) : step));
}

/** A chain, or a fan between its first and last step, or two branches. */
function graphOf(random: Random, size: number): readonly StepModel[] {
  const shape = random.between(0, 2);
  return Array.from({ length: size }, (_, index) => {
    const isLast = index === size - 1;
    const fan = isLast && size > 2 ? Array.from({ length: size - 2 }, (__, parent) => parent + 1) : [0];
    const after = shape === 0 ? [index - 1] : shape === 1 ? fan : [index === 1 ? 0 : index - 2];
    return stepOf(random.between(0, kinds.length - 1), index === 0 ? [] : after, `_${index + 1}`);
  });
}

function stepOf(kind: number, after: readonly number[], suffix: string): StepModel {
  const model = kinds[kind];
  if (model === undefined) throw new RangeError(`there is no kind ${kind}`);
  return { ...model, name: `${model.name}${suffix}`, after, maxAttempts };
}
