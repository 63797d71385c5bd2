import { styleText } from "node:util";

/** What a terminal needs of `process.stdout` and `process.stderr`. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow";

const clearLine = "\r\u001B[2K";

/**
 * Where a command writes: what was asked for goes to `out`, everything else to `err`. On a real terminal there may be a
 * living line at the bottom, which each call of `live` replaces and other output stays clear of.
 */
export class Terminal {
  readonly #out: OutputStream;
  readonly #err: OutputStream;
  readonly #colours: boolean;
  #live = "";

  /** @param noColor the value of the environment variable NO_COLOR: any but the empty one forbids colours (no-color.org) */
  constructor(out: OutputStream, err: OutputStream, noColor: string | undefined) {
    this.#out = out;
    this.#err = err;
    this.#colours = out.isTTY === true && (noColor ?? "") === "";
  }

  /** Whether a person may be watching: living lines are shown only then. */
  get isInteractive(): boolean {
    return this.#out.isTTY === true;
  }

  /** Whether the log is read by a person. */
  get isLogInteractive(): boolean {
    return this.#err.isTTY === true;
  }

  print(line = ""): void {
    this.#above(() => this.#out.write(`${line}\n`));
  }

  /** Writes text to the output as it is. */
  write(text: string): void {
    this.#above(() => this.#out.write(text));
  }

  /** Writes text to the error output as it is. */
  writeError(text: string): void {
    this.#above(() => this.#err.write(text));
  }

  /** Replaces the living line; the empty text ends it. Nothing happens where nobody watches. */
  live(text: string): void {
    if (!this.isInteractive) return;
    // One that wraps could not be cleared again. A terminal that does not know its width says 0.
    const { columns = 0 } = this.#out;
    const shown = text.slice(0, (columns === 0 ? 80 : columns) - 1);
    if (shown === this.#live) return;
    this.#live = shown;
    this.#out.write(clearLine + this.#live);
  }

  style(style: Style, text: string): string {
    // The streams were looked at already.
    return this.#colours ? styleText(style, text, { validateStream: false }) : text;
  }

  #above(write: () => void): void {
    if (this.#live !== "") this.#out.write(clearLine);
    write();
    if (this.#live !== "") this.#out.write(this.#live);
  }
}
