import type { PgQueryConfig } from "../statement.ts";

/** A statement that any library takes: its values are texts, numbers, booleans and nulls. */
export interface PortableStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** One small word: a plugin that turns snake case into camel case leaves it. */
const column = "line";

/**
 * Makes a statement independent of how a library writes values and reads rows: texts and arrays travel as `text` (some would
 * print a text for `jsonb` as JSON once more, or have arrays of their own), and each row comes back as one JSON text (parsers,
 * plugins that rename columns, and types that a library does not know have nothing to change in it).
 *
 * The statement must be a query whose rows JSON can say, with no `$1` inside of a literal.
 */
export function portable({ text, values = [] }: PgQueryConfig): PortableStatement {
  const inner = text.replaceAll(placeholders, (placeholder, position: string) => {
    const value = values[Number(position) - 1];
    return typeof value === "string" || Array.isArray(value) ? `${placeholder}::text` : placeholder;
  });
  return {
    text: `select row_to_json(tasker_rows)::text as ${column} from (${inner}) tasker_rows`,
    values: values.map((value) => (Array.isArray(value) ? arrayText(value) : value)),
  };
}

export const placeholders = /\$(\d+)/gu;

/** The rows of a portable statement out of what a library answered. */
export function rowsOf(answer: unknown): object[] {
  const rows: unknown = isObject(answer) && "rows" in answer ? answer.rows : answer;
  if (!Array.isArray(rows)) throw new TypeError("the library's answer has no rows");
  return rows.map((row: unknown) => {
    const text: unknown = isObject(row) ? Reflect.get(row, column) : undefined;
    const parsed: unknown = typeof text === "string" ? JSON.parse(text) : undefined;
    if (!isObject(parsed)) throw new TypeError(`the library's answer has no text in the column ${column}`);
    return parsed;
  });
}

/** Postgres' text of an array of texts or numbers. */
function arrayText(values: readonly unknown[]): string {
  const items = values.map((value) => `"${String(value).replaceAll(/["\\]/gu, String.raw`\$&`)}"`);
  return `{${items.join(",")}}`;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
