import { stringify } from "csv-stringify/sync";

/** A cell. Numbers stay as they are in JSON; null and what is not there are empty. */
type Cell = string | number | boolean | null | undefined;

/**
 * Rows as CSV (RFC 4180): a header, lines that end with CR LF, quotes where needed. A text that a spreadsheet would take for
 * a formula gets an apostrophe in front. Objects within a row become columns of their own, `life.run_seconds` as
 * `life_run_seconds`; lists are left out.
 *
 * @param columns needed where there may be no rows to tell them. Default: those of the rows, in their order
 */
export function csvOf(rows: readonly object[], columns?: readonly string[]): string {
  const flat = rows.map((row) => Object.fromEntries(cellsOf(row)));
  return stringify(flat, {
    header: true,
    columns: [...(columns ?? new Set(flat.flatMap((row) => Object.keys(row))))],
    record_delimiter: "windows",
    escape_formulas: true,
    // A carriage return alone as well, which RFC 4180 wants in quotes.
    quoted_match: /[\r\n]/u,
    cast: { boolean: String },
  });
}

/** The names of the columns of a row. */
export function columnsOf(row: object): string[] {
  return cellsOf(row).map(([name]) => name);
}

function cellsOf(row: object, prefix = ""): [name: string, cell: Cell][] {
  return Object.entries(row).flatMap(([name, value]: [string, unknown]): [string, Cell][] => {
    if (Array.isArray(value)) return [];
    if (typeof value === "object" && value !== null) return cellsOf(value, `${prefix}${name}_`);
    return [[prefix + name, isCell(value) ? value : null]];
  });
}

function isCell(value: unknown): value is Cell {
  return ["string", "number", "boolean", "undefined"].includes(typeof value) || value === null;
}
