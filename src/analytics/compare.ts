import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { AnswerFrame } from "./answers.ts";
import {
  type CountedBucket,
  differenceInterval,
  type Interval,
  quantileInterval,
  ratioInterval,
  shareInterval,
  standardDeviations,
} from "./compare-statistics.ts";
import { checkParameters, InvalidParameterError } from "./parameters.ts";

/** Two versions of a template. `hours` back from now; 0 means all history. */
export interface CompareParameters {
  readonly namespace: string;
  readonly task_name: string;
  readonly a: string;
  readonly b: string;
  readonly hours: number;
}

/** What one version did in the window. */
export interface VersionFigures {
  readonly execution_count: number;
  readonly completed_count: number;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly average_duration_seconds: number | null;
  readonly p50_duration_seconds: number | null;
  readonly p95_duration_seconds: number | null;
  readonly max_duration_seconds: number | null;
}

/** `higher`: b is higher than a, by more than chance explains. */
export type Verdict = "higher" | "lower" | "no_difference_found" | "not_enough_data";

/** What is said of one figure. */
export interface Comparison {
  readonly verdict: Verdict;
  /** `b / a` of a duration, `b - a` of a rate; null without enough data. */
  readonly estimate: number | null;
  /** The interval that holds the true one with `confidence`. */
  readonly low: number | null;
  readonly high: number | null;
}

export interface Comparisons {
  /** Of each interval. That of a step is higher the more steps there are, so that all of them together are as sure as one. */
  readonly confidence: number;
  readonly p50_duration: Comparison;
  readonly p95_duration: Comparison;
  readonly error_rate: Comparison;
}

/** Null for a version in which there is no such step; then nothing is compared. */
export interface ComparedStep {
  readonly step_name: string;
  readonly a: VersionFigures | null;
  readonly b: VersionFigures | null;
  readonly comparison: Comparisons | null;
}

export interface VersionComparison extends AnswerFrame {
  readonly a: string;
  readonly b: string;
  readonly tasks: { readonly a: VersionFigures; readonly b: VersionFigures; readonly comparison: Comparisons };
  readonly steps: readonly ComparedStep[];
  /** Fewer executions (for the p50 and p95: fewer completed ones) of either version are not enough to compare. */
  readonly minimum_samples: typeof minimumSamples;
  readonly percentile_relative_error: number;
}

export const minimumSamples = Object.freeze({ p50_duration: 30, p95_duration: 100, error_rate: 30 });

/** How sure one comparison is, and how sure all of those of steps are together. */
const confidenceOfAll = 0.95;

/** @throws InvalidParameterError */
export function checkCompare({ hours, a, b }: CompareParameters): void {
  checkParameters({ hours });
  if (a === b) throw new InvalidParameterError(`a and b must be different versions, got ${a} twice`);
}

/** A version's tasks, or those of one of its steps. */
interface Sample extends VersionFigures {
  readonly buckets: readonly CountedBucket[];
}

type Answered = Pick<VersionComparison, "tasks" | "steps" | "minimum_samples" | "analysis_period_start">;

/** The two versions in the window of `hours` that ends at `now`; undefined when one of them is not registered. */
export async function readComparison(
  sql: Sql,
  parameters: CompareParameters,
  now: Timestamp,
): Promise<Answered | undefined> {
  const rows = await readSamples(sql, parameters, now);
  const of = (version: string, step: string | null): SampleRow | undefined =>
    rows.find((row) => row.version === version && row.step_name === step);
  const [a, b] = [of(parameters.a, null), of(parameters.b, null)];
  if (a === undefined || b === undefined) return undefined;
  const names = [...new Set(rows.flatMap(({ step_name }) => (step_name === null ? [] : [step_name])))].toSorted();
  const pairs = names.map((step_name) => ({
    step_name,
    a: of(parameters.a, step_name) ?? null,
    b: of(parameters.b, step_name) ?? null,
  }));
  const inBoth = pairs.filter((pair) => pair.a !== null && pair.b !== null).length;
  // Bonferroni's: the chance that any of them is called different although none is stays what it is for one.
  const confidence = 1 - (1 - confidenceOfAll) / Math.max(1, inBoth);
  return {
    analysis_period_start: a.period_start,
    tasks: { a: figuresOf(a), b: figuresOf(b), comparison: compare(a, b, confidenceOfAll) },
    steps: pairs.map((pair) => ({
      step_name: pair.step_name,
      a: pair.a === null ? null : figuresOf(pair.a),
      b: pair.b === null ? null : figuresOf(pair.b),
      comparison: pair.a === null || pair.b === null ? null : compare(pair.a, pair.b, confidence),
    })),
    minimum_samples: minimumSamples,
  };
}

/** What can be said of two samples with this confidence in each sentence. */
export function compare(a: Sample, b: Sample, confidence: number): Comparisons {
  const z = standardDeviations(confidence);
  const quantiles = (q: number, samplesMin: number): Comparison => {
    if (Math.min(a.completed_count, b.completed_count) < samplesMin) return notEnough;
    const [ofA, ofB] = [quantileInterval(a.buckets, q, z), quantileInterval(b.buckets, q, z)];
    return ofA === undefined || ofB === undefined ? notEnough : judged(ratioInterval(ofA, ofB), 1);
  };
  const rates = (): Comparison => {
    if (Math.min(a.execution_count, b.execution_count) < minimumSamples.error_rate) return notEnough;
    const [ofA, ofB] = [a, b].map((one) => shareInterval(one.error_count, one.execution_count, z));
    return ofA === undefined || ofB === undefined ? notEnough : judged(differenceInterval(ofA, ofB), 0);
  };
  return {
    confidence,
    p50_duration: quantiles(0.5, minimumSamples.p50_duration),
    p95_duration: quantiles(0.95, minimumSamples.p95_duration),
    error_rate: rates(),
  };
}

const notEnough: Comparison = Object.freeze({ verdict: "not_enough_data", estimate: null, low: null, high: null });

function judged({ low, estimate, high }: Interval, same: number): Comparison {
  const verdict = low > same ? "higher" : high < same ? "lower" : "no_difference_found";
  return { verdict, estimate, low, high };
}

function figuresOf(sample: Sample): VersionFigures {
  return {
    execution_count: sample.execution_count,
    completed_count: sample.completed_count,
    error_count: sample.error_count,
    error_rate: sample.error_rate,
    average_duration_seconds: sample.average_duration_seconds,
    p50_duration_seconds: sample.p50_duration_seconds,
    p95_duration_seconds: sample.p95_duration_seconds,
    max_duration_seconds: sample.max_duration_seconds,
  };
}

interface SampleRow extends Sample {
  readonly version: string;
  readonly step_name: string | null;
  readonly period_start: Timestamp;
}

async function readSamples(
  sql: Sql,
  { namespace, task_name, a, b, hours }: CompareParameters,
  now: Timestamp,
): Promise<SampleRow[]> {
  return sql.query<SampleRow>({
    text: `with ids as (
        select tasker.filtered_identities($1, $2, $3) || tasker.filtered_identities($1, $2, $4) as ids,
            tasker.window_start($5, $6) as start),
      histograms as (
        select h.identity_id, array_agg(h.key) as keys, array_agg(h.n::numeric) as counts,
            jsonb_agg(jsonb_build_object('from_seconds', b.from_seconds, 'to_seconds', b.to_seconds,
              'value_seconds', b.value_seconds, 'count', h.n) order by h.key) as buckets
          from ids, tasker.window_histograms(start, $6, ids) h cross join lateral tasker.bucket_bounds(h.key) b
          group by h.identity_id),
      first as (select min(first_at) as at from ids, tasker.current_counts(ids))
      select i.version, i.step_name, coalesce(f.completed + f.failed, 0) as execution_count,
          coalesce(f.completed, 0) as completed_count, coalesce(f.failed, 0) as error_count,
          tasker.ratio(f.failed, f.completed + f.failed) as error_rate,
          tasker.ratio(f.duration_us, f.completed * 1000000) as average_duration_seconds, p.p[1] as p50_duration_seconds,
          p.p[2] as p95_duration_seconds,
          (case when f.completed > 0 then f.max_duration_us / 1000000.0 end)::double precision as max_duration_seconds,
          coalesce(h.buckets, '[]') as buckets, coalesce(ids.start, first.at, $6) as period_start
        from ids cross join first join tasker.analytics_identities i on i.id = any (ids.ids)
        left join tasker.window_figures(ids.start, $6, ids.ids) f on f.identity_id = i.id
        left join histograms h on h.identity_id = i.id
        left join lateral (select tasker.percentiles(h.keys, h.counts, f.max_duration_us) as p) p on h.identity_id is not null`,
    values: [namespace, task_name, a, b, hours, now],
  });
}
