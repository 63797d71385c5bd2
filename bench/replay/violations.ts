const examplesMax = 3;

/** What a run did that it must not do, gathered by rule. */
export class Violations {
  readonly #byRule = new Map<string, string[]>();

  /** Notes one, unless `holds`. */
  require(holds: boolean, rule: string, example: () => string): void {
    if (holds) return;
    const examples = this.#byRule.get(rule);
    if (examples === undefined) this.#byRule.set(rule, [example()]);
    else examples.push(example());
  }

  /** Notes one unless both are the same; numbers are also the same when they differ by the rounding of a division only. */
  same(rule: string, what: string, got: unknown, expected: unknown): void {
    this.require(isSame(got, expected), rule, () => `${what} is ${String(got)}, expected ${String(expected)}`);
  }

  /** Notes one unless `got` is within `relative` of what is expected. */
  near(rule: string, what: string, got: number | null, expected: number, relative: number): void {
    const allowed = expected * relative * (1 + roundingRelative);
    const holds = got !== null && Math.abs(got - expected) <= allowed;
    this.require(holds, rule, () => `${what} is ${String(got)}, expected ${expected} within ${relative * 100} %`);
  }

  get count(): number {
    return [...this.#byRule.values()].reduce((total, examples) => total + examples.length, 0);
  }

  /** A sentence per rule: how often it was broken, with the first examples. */
  sentences(): string[] {
    return [...this.#byRule].map(([rule, examples]) => {
      const more = examples.length > examplesMax ? ` … (${examples.length} times)` : "";
      return `${rule}: ${examples.slice(0, examplesMax).join("; ")}${more}`;
    });
  }
}

/** Far below a microsecond in anything that is measured here, far above the last bit of a double. */
const roundingRelative = 1e-12;

function isSame(got: unknown, expected: unknown): boolean {
  if (typeof got !== "number" || typeof expected !== "number") return got === expected;
  // Counts, microseconds and times: a relative tolerance would forgive times whole milliseconds.
  if (Number.isInteger(got) && Number.isInteger(expected)) return got === expected;
  return Math.abs(got - expected) <= roundingRelative * Math.max(Math.abs(got), Math.abs(expected));
}
