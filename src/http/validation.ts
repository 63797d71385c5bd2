import { type TObject, type TSchema, Type } from "@fastify/type-provider-typebox";
import { Compile } from "typebox/compile";

import { InvalidRequestError } from "./errors.ts";

/** Which part of a request a schema is for, and how its mistakes are told. */
const parts = {
  querystring: { code: "invalid_parameter", whole: "query", key: "parameter" },
  params: { code: "invalid_id", whole: "path", key: "parameter" },
  body: { code: "invalid_body", whole: "body", key: "field" },
} as const;

type Part = (typeof parts)[keyof typeof parts];

/** So many mistakes of one request are told. */
const issuesMax = 20;
const shownMax = 60;

/**
 * Makes the check of one part of a request out of its schema. Values of a query are texts and are read by the type of
 * their schema, strictly (`1e2`, ` 1` and an empty text are no numbers); its defaults are filled in. The same query object,
 * which the parser gives for the same text, is read once.
 */
export function compileValidator(schema: unknown, part: string | undefined): (value: unknown) => object {
  if (!Type.IsObject(schema) || !isPart(part)) throw new TypeError(`There is no validation of ${part} by this schema`);
  const whole = Compile(schema);
  const fields = new Fields(schema, parts[part]);
  const validate = (value: unknown): object =>
    whole.Check(value) ? { value } : { error: new InvalidRequestError(parts[part].code, fields.issues(value)) };
  if (part !== "querystring") return validate;

  const known = new WeakMap<object, object>();
  return (query) => {
    if (typeof query !== "object" || query === null) return validate(query);
    let result = known.get(query);
    if (result === undefined) {
      result = validate(Object.freeze(fields.read(query)));
      known.set(query, result);
    }
    return result;
  };
}

function isPart(part: string | undefined): part is keyof typeof parts {
  return part !== undefined && part in parts;
}

/** What an endpoint takes, field by field. Mistakes are looked for only when there is one. */
class Fields {
  readonly #required: ReadonlySet<string>;
  readonly #part: Part;
  readonly #defaults: Readonly<Record<string, unknown>>;
  readonly #checks: ReadonlyMap<string, { readonly schema: TSchema; readonly check: (value: unknown) => boolean }>;
  readonly #integers: ReadonlySet<string>;

  constructor(schema: TObject, part: Part) {
    // A schema of which everything is optional has no such list, whatever its type says: that is an empty set too.
    this.#required = new Set(schema.required);
    this.#part = part;
    const fields = Object.entries(schema.properties);
    this.#integers = new Set(fields.filter(([, field]) => Type.IsInteger(field)).map(([name]) => name));
    this.#defaults = Object.fromEntries(
      fields.flatMap(([name, field]) => ("default" in field ? [[name, field.default]] : [])),
    );
    this.#checks = new Map(
      fields.map(([name, field]) => {
        const compiled = Compile(field);
        return [name, { schema: field, check: (value) => compiled.Check(value) }];
      }),
    );
  }

  /** The parameters of a query by their types. What cannot be read stays the text it is, and is refused by the check. */
  read(query: object): Readonly<Record<string, unknown>> {
    const values = new Map<string, unknown>(Object.entries(this.#defaults));
    for (const [name, value] of Object.entries(query)) {
      values.set(name, this.#integers.has(name) ? integerOf(value) : value);
    }
    return Object.fromEntries(values);
  }

  /** Everything that is wrong, by name. */
  issues(value: unknown): InvalidRequestError["issues"] {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return [this.#issue(this.#part.whole, "must be an object")];
    }
    const given = new Map<string, unknown>(Object.entries(value));
    const known = [...this.#checks.keys()].join(", ");
    const unknown = [...given.keys()].filter((name) => !this.#checks.has(name));
    return [
      ...unknown.map((name) => this.#issue(shortened(name), `is not known; there are ${known}`)),
      ...[...this.#checks].flatMap(([name, { schema, check }]) => {
        if (!given.has(name)) {
          return this.#required.has(name) ? [this.#issue(name, `is required: ${expectationOf(schema)}`)] : [];
        }
        const field = given.get(name);
        return check(field) ? [] : [this.#issue(name, this.#complaint(schema, field))];
      }),
    ].slice(0, issuesMax);
  }

  #complaint(schema: TSchema, value: unknown): string {
    const expected = `must be ${expectationOf(schema)}`;
    // What stands in a URL is shown again; a body may hold what must not be repeated.
    if (this.#part.key === "field") return expected;
    return Array.isArray(value)
      ? `${expected}, and given once`
      : `${expected}, got ${JSON.stringify(shortened(String(value)))}`;
  }

  #issue(name: string, message: string): InvalidRequestError["issues"][number] {
    return this.#part.key === "field" ? { field: name, message } : { parameter: name, message };
  }
}

/** Schemas describe their values so that it completes the sentence. */
function expectationOf(schema: TSchema): string {
  return "description" in schema && typeof schema.description === "string" ? schema.description : "any JSON value";
}

function integerOf(value: unknown): unknown {
  return typeof value === "string" && /^-?\d{1,15}$/u.test(value) ? Number(value) : value;
}

function shortened(text: string): string {
  return text.length <= shownMax ? text : `${text.slice(0, shownMax)}…`;
}
