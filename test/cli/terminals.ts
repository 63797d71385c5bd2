import { Terminal } from "../../src/cli/terminal.ts";

/** A terminal that keeps what is written to it. */
export interface RecordedTerminal {
  readonly terminal: Terminal;
  readonly out: () => string;
  readonly err: () => string;
}

export function recordedTerminal(
  options: { readonly isTTY?: boolean; readonly columns?: number; readonly noColor?: string } = {},
): RecordedTerminal {
  const { isTTY = false, columns = 80, noColor } = options;
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err") => ({
    isTTY,
    columns,
    write: (text: string) => {
      written[name] += text;
      return true;
    },
  });
  return {
    terminal: new Terminal(stream("out"), stream("err"), noColor),
    out: () => written.out,
    err: () => written.err,
  };
}
