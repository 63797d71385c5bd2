import { duration } from "../format.ts";
import { table } from "../table.ts";
import type { Demo } from "./run-demo.ts";

/** Asks each question twice over HTTP and shows where the answers came from, and that they are the same to the byte. */
export async function askTwice({ address, terminal, clock, stop }: Demo, questions: readonly string[]): Promise<void> {
  const ask = async (question: string): Promise<{ body: Buffer; status: string; seconds: number }> => {
    const startedMs = clock.monotonicMs();
    const response = await fetch(`${address}/v1/analytics/${question}`, { signal: stop.signal });
    const body = Buffer.from(await response.arrayBuffer());
    if (!response.ok) throw new Error(`${question} was answered with ${response.status}: ${body.toString()}`);
    const status = response.headers.get("cache-status") ?? "";
    return { body, status, seconds: (clock.monotonicMs() - startedMs) / 1000 };
  };
  terminal.print(terminal.style("bold", "The analytics, each asked twice"));
  for (const question of questions) {
    terminal.print(`  GET /v1/analytics/${question}`);
    const [first, second] = [await ask(question), await ask(question)];
    const same = first.body.equals(second.body) ? "the same bytes" : "other bytes";
    const rows = [
      ["first", duration(first.seconds), `Cache-Status: ${first.status}`, `${first.body.length} bytes`],
      ["second", duration(second.seconds), `Cache-Status: ${second.status}`, same],
    ];
    const columns = [{ heading: "" }, { heading: "", align: "right" }, { heading: "" }, { heading: "" }] as const;
    for (const line of table(columns, rows).slice(1)) terminal.print(`    ${line}`);
  }
  terminal.print();
}
