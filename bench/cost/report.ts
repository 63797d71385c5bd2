import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { type ClaimRound, measureClaiming } from "./claiming.ts";
import { measureSettling, type StepCost } from "./settling.ts";
import { openSide, type Side } from "./side.ts";

export interface CostOptions {
  readonly rounds: number;
  readonly clients: number;
  /** Steps of a round that are completed one with each call. */
  readonly singles: number;
  /** Those that are completed 50 with each call. */
  readonly batched: number;
  /** Claims of a round, each for quiet and asked. */
  readonly claims: number;
}

/** The product and the same without analytics, in one round. */
export interface SettleRound {
  readonly with: StepCost;
  readonly without: StepCost;
}

const batchSize = 50;

/** Measures on the server of `serverUrl`, in databases of its own, and returns the report. */
export async function measureCost(serverUrl: string, options: CostOptions): Promise<string> {
  const sides: Side[] = [];
  try {
    const product = await openSide(serverUrl, "with", options.clients);
    sides.push(product);
    const plain = await openSide(serverUrl, "without", options.clients);
    sides.push(plain);
    const single = await settleRounds(product, plain, options, options.singles, 1);
    const batch = await settleRounds(product, plain, options, options.batched, batchSize);
    const claims: ClaimRound[] = [];
    for (let round = 0; round < options.rounds; round++) {
      claims.push(await measureClaiming(product, options.claims, round % 2 === 1));
    }
    return [
      settleReport("one completion a call", single),
      settleReport(`${batchSize} completions a call`, batch),
      claimReport(claims),
    ].join("\n\n");
  } finally {
    for (const side of sides) await side.close();
  }
}

/** A round to warm up, then those that count; who goes first alternates. */
async function settleRounds(
  product: Side,
  plain: Side,
  { rounds, clients }: CostOptions,
  steps: number,
  batch: number,
): Promise<SettleRound[]> {
  const measured: SettleRound[] = [];
  for (let round = -1; round < rounds; round++) {
    const first = await measureSettling(round % 2 === 0 ? product : plain, clients, steps, batch);
    const second = await measureSettling(round % 2 === 0 ? plain : product, clients, steps, batch);
    const both = first.kind === "with" ? { with: first, without: second } : { with: second, without: first };
    if (round >= 0) measured.push(both);
  }
  return measured;
}

/** A line for each figure: medians, and the ratio of each round (1: the analytics cost nothing; lower: they cost). */
export function settleReport(what: string, rounds: readonly SettleRound[]): string {
  const row = (
    name: string,
    figure: (one: StepCost) => number | null,
    ratio: (a: number, b: number) => number,
  ): string[] => {
    const pairs = rounds.flatMap((round) => {
      const [a, b] = [figure(round.with), figure(round.without)];
      return a === null || b === null ? [] : [[a, b] as const];
    });
    if (pairs.length === 0) return [name, "-", "-", "-", "-"];
    return [
      name,
      median(pairs.map(([a]) => a)).toFixed(0),
      median(pairs.map(([, b]) => b)).toFixed(0),
      ...spread(pairs.map(([a, b]) => ratio(a, b))),
    ];
  };
  const withFold = ({ engineCpuUs, foldCpuUs }: StepCost): number | null =>
    engineCpuUs === null || foldCpuUs === null ? null : engineCpuUs + foldCpuUs;
  const cost = (a: number, b: number): number => b / a;
  return table(
    [what, "with analytics", "without", "ratio", `of ${rounds.length} rounds`],
    [
      row(
        "steps/s",
        (one) => one.stepsPerSecond,
        (a, b) => a / b,
      ),
      row("CPU us/step, workers' sessions", (one) => one.engineCpuUs, cost),
      row("CPU us/step, and the fold's", (one) => (one.kind === "with" ? withFold(one) : one.engineCpuUs), cost),
      row("WAL bytes/step", (one) => one.walBytes, cost),
    ],
  );
}

/** Latencies while the analytics are asked against those while they are not; above 1: asking costs. */
export function claimReport(rounds: readonly ClaimRound[]): string {
  const row = (name: string, figure: "p50Ms" | "p99Ms"): string[] => [
    name,
    median(rounds.map(({ asked }) => asked[figure])).toFixed(2),
    median(rounds.map(({ quiet }) => quiet[figure])).toFixed(2),
    ...spread(rounds.map(({ asked, quiet }) => asked[figure] / quiet[figure])),
  ];
  const answers = rounds.reduce((total, round) => total + round.answers, 0);
  const rows = [row("claim p50, ms", "p50Ms"), row("claim p99, ms", "p99Ms")];
  return `${table(["a claim", "while asked", "quiet", "ratio", `of ${rounds.length} rounds`], rows)}\n${answers} answers meanwhile`;
}

function spread(ratios: readonly number[]): string[] {
  return [median(ratios).toFixed(2), `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`];
}
