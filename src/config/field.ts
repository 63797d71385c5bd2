/** One key of the configuration: what a value must be, and the value when none is given. */
export class Field<out Value> {
  readonly default: Value;
  /** Completes the sentence "expected …". */
  readonly expected: string;
  /** A secret's value is never printed. */
  readonly secret: boolean;
  readonly #accept: (value: unknown) => Value | undefined;
  readonly #fromText: (given: string) => unknown;

  constructor(options: {
    readonly default: Value;
    readonly expected: string;
    readonly secret?: boolean;
    /** The value itself when it is of the right type and in range, else undefined. */
    readonly accept: (value: unknown) => Value | undefined;
    /** Reads what an environment variable holds; the outcome still has to be accepted. */
    readonly fromText: (given: string) => unknown;
  }) {
    this.default = options.default;
    this.expected = options.expected;
    this.secret = options.secret ?? false;
    this.#accept = options.accept;
    this.#fromText = options.fromText;
  }

  /** The value, or undefined when it is not what is expected. */
  accept(value: unknown): Value | undefined {
    return this.#accept(value);
  }

  /** The value that a text stands for, or undefined when it is not what is expected. */
  acceptText(given: string): Value | undefined {
    return this.#accept(this.#fromText(given));
  }
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export function integer(defaultValue: number, range: Range): Field<number> {
  return new Field({
    default: defaultValue,
    expected: `an integer from ${range.min} to ${range.max}`,
    accept: (value) => (inRange(value, range) && Number.isInteger(value) ? value : undefined),
    fromText: numberFromText,
  });
}

export function decimal(defaultValue: number, range: Range): Field<number> {
  return new Field({
    default: defaultValue,
    expected: `a number from ${range.min} to ${range.max}`,
    accept: (value) => (inRange(value, range) ? value : undefined),
    fromText: numberFromText,
  });
}

export function flag(defaultValue: boolean): Field<boolean> {
  return new Field({
    default: defaultValue,
    expected: "true or false",
    accept: (value) => (typeof value === "boolean" ? value : undefined),
    fromText: (given) => (given === "true" ? true : given === "false" ? false : undefined),
  });
}

interface TextRule {
  readonly expected: string;
  readonly pattern: RegExp;
  readonly secret?: boolean;
}

export function text(defaultValue: string, rule: TextRule): Field<string> {
  return new Field({
    default: defaultValue,
    expected: rule.expected,
    secret: rule.secret ?? false,
    accept: (value) => (typeof value === "string" && rule.pattern.test(value) ? value : undefined),
    fromText: (given) => given,
  });
}

export function choice<const Choice extends string>(
  defaultValue: NoInfer<Choice>,
  choices: readonly Choice[],
): Field<Choice> {
  return new Field<Choice>({
    default: defaultValue,
    expected: `one of ${choices.join(", ")}`,
    accept: (value) => choices.find((known) => known === value),
    fromText: (given) => given,
  });
}

/** A list of texts; as an environment variable separated by commas. */
export function texts(rule: TextRule & { readonly itemsMax: number }): Field<readonly string[]> {
  const isItem = (item: unknown): item is string => typeof item === "string" && rule.pattern.test(item);
  return new Field<readonly string[]>({
    default: [],
    expected: rule.expected,
    accept: (value) =>
      Array.isArray(value) && value.length <= rule.itemsMax && value.every(isItem) ? [...value] : undefined,
    fromText: (given) => (given.trim() === "" ? [] : given.split(",").map((item) => item.trim())),
  });
}

function inRange(value: unknown, { min, max }: Range): value is number {
  return typeof value === "number" && value >= min && value <= max;
}

function numberFromText(given: string): number | undefined {
  return /^-?\d+(\.\d+)?$/u.test(given) ? Number(given) : undefined;
}
