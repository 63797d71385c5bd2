import { duration } from "../format.ts";
import { table } from "../table.ts";
import type { Demo } from "./demo.ts";

/** A question to the analytics. */
export interface Question {
  /** With its parameters, below `/v1/analytics/`. */
  readonly path: string;
  /** The gist of an answer. */
  readonly headline: (text: string) => readonly string[];
}

interface Asked {
  readonly body: Buffer;
  readonly status: string;
  readonly seconds: number;
}

const columns = [{ heading: "" }, { heading: "", align: "right" }, { heading: "" }, { heading: "" }] as const;

/** Asks each question twice over HTTP and shows where the answers came from, and that they are the same to the byte. */
export async function askTwice(demo: Demo, questions: readonly Question[]): Promise<void> {
  const { terminal } = demo;
  terminal.print(terminal.style("bold", "The analytics, each asked twice"));
  for (const { path, headline } of questions) {
    terminal.print(`  GET /v1/analytics/${path}`);
    const [first, second] = [await ask(demo, path), await ask(demo, path)];
    const same = first.body.equals(second.body) ? "the same bytes" : "other bytes";
    const rows = [
      ["first", duration(first.seconds), `Cache-Status: ${first.status}`, `${first.body.length} bytes`],
      ["second", duration(second.seconds), `Cache-Status: ${second.status}`, same],
    ];
    for (const line of table(columns, rows).slice(1)) terminal.print(`    ${line}`);
    for (const line of headline(second.body.toString())) terminal.print(`    ${line}`);
  }
  terminal.print();
}

async function ask({ address, clock, stop }: Demo, path: string): Promise<Asked> {
  const startedMs = clock.monotonicMs();
  const response = await fetch(`${address}/v1/analytics/${path}`, { signal: stop.signal });
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${body.toString()}`);
  const status = response.headers.get("cache-status") ?? "";
  return { body, status, seconds: (clock.monotonicMs() - startedMs) / 1000 };
}
