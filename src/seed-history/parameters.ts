import { identitiesMax } from "../templates/register.ts";
import { TaskerError } from "../workflow/errors.ts";

/** What a seeded history is made of. The same parameters make the same history. */
export interface HistoryParameters {
  /** How many tasks. */
  readonly tasks: number;
  /** Over how many days they are spread. */
  readonly days: number;
  /** Templates and steps in all, as the analytics count identities. */
  readonly identities: number;
  readonly seed: number;
}

/** The ranges of the parameters, their ends included. */
export const historyRanges = Object.freeze({
  tasks: { min: 1, max: 100_000_000 },
  days: { min: 1, max: 3650 },
  identities: { min: 22, max: identitiesMax },
  seed: { min: 0, max: 0xffff_ffff },
});

export const defaultHistory: HistoryParameters = Object.freeze({ tasks: 10_000, days: 30, identities: 240, seed: 1 });

/** Seeding cannot begin. `code` says why; nothing was written. */
export class SeedHistoryError extends TaskerError {
  readonly code: "invalid_parameter" | "database_in_use" | "history_exists" | "seeding_elsewhere" | "not_migrated";

  constructor(code: SeedHistoryError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** @throws SeedHistoryError that names the parameter and its range */
export function checkHistoryParameters(parameters: HistoryParameters): void {
  for (const [name, { min, max }] of Object.entries(historyRanges)) {
    const value = parameters[name as keyof HistoryParameters];
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    throw new SeedHistoryError(
      "invalid_parameter",
      `${name} must be a whole number from ${min} to ${max}, got ${value}`,
    );
  }
}
