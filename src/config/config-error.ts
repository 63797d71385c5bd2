/** The configuration cannot be used. Carries every problem there is, so that one look mends all. */
export class ConfigError extends Error {
  readonly code = "invalid_config";
  /** One sentence or two each: where, what was expected, what was given, how to mend it. No secrets. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    super(`The configuration has ${count}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = Object.freeze([...problems]);
  }
}
