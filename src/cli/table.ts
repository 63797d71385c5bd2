/** A column: its heading and how its cells stand. */
export interface Column {
  readonly heading: string;
  readonly align?: "left" | "right";
}

const gap = "  ";

/** Lays rows out below their headings; the widest cell sets a column's width. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map((column) => column.heading), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => (cells[index] ?? "").length)));
  return lines.map((cells) =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? "", widths[index] ?? 0, align ?? "left"))
      .join(gap)
      .trimEnd(),
  );
}

function pad(text: string, columns: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, columns - text.length));
  return align === "left" ? text + blanks : blanks + text;
}
