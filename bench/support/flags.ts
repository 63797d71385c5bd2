import { parseArgs } from "node:util";

/** A flag that takes a number. */
export interface NumberFlag {
  readonly min: number;
  readonly max: number;
  /** Without one the flag's value may be undefined. */
  readonly default?: number;
  /** Default: whole numbers only. */
  readonly fraction?: boolean;
}

type Flags = Readonly<Record<string, NumberFlag>>;
type Values<Known extends Flags> = {
  readonly [Name in keyof Known]: Known[Name] extends { readonly default: number } ? number : number | undefined;
};

/**
 * Reads flags that take numbers, and what else stands on the command line.
 *
 * @throws with a sentence that names the flag and what it takes
 */
export function readFlags<const Known extends Flags>(
  args: readonly string[],
  flags: Known,
): { readonly values: Values<Known>; readonly positionals: readonly string[] } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "string" as const }])),
  });
  const numbers = Object.entries(flags).map(([name, flag]) => [name, numberOf(name, values[name], flag)] as const);
  // Each flag has got its number, or its default where it has one.
  return { values: Object.fromEntries(numbers) as Values<Known>, positionals };
}

function numberOf(name: string, text: unknown, flag: NumberFlag): number | undefined {
  if (typeof text !== "string") return flag.default;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const isOfKind = flag.fraction === true || Number.isInteger(value);
  if (value >= flag.min && value <= flag.max && isOfKind) return value;
  const kind = flag.fraction === true ? "a number" : "a whole number";
  throw new Error(`--${name} should be ${kind} from ${flag.min} to ${flag.max}, got ${text}`);
}
