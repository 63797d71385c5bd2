/** Counts the commands that clients send, by their names in small letters: what a test knows of a server that it has stopped. */
export class CommandCounts {
  readonly #counts = new Map<string, number>();

  /** What reads one connection: give it the bytes as they come. */
  reader(): (bytes: Buffer) => void {
    let rest = Buffer.alloc(0);
    return (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let command = readCommand(rest); command !== undefined; command = readCommand(rest)) {
        rest = rest.subarray(command.length);
        this.#counts.set(command.name, (this.#counts.get(command.name) ?? 0) + 1);
      }
    };
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Since the beginning, or since an earlier snapshot; what was not sent is left out. */
  snapshot(since: Readonly<Record<string, number>> = {}): Readonly<Record<string, number>> {
    const entries = [...this.#counts].map(([name, count]) => [name, count - (since[name] ?? 0)] as const);
    return Object.fromEntries(entries.filter(([, count]) => count > 0));
  }
}

interface Command {
  readonly name: string;
  /** In bytes, on the wire. */
  readonly length: number;
}

/** The first command, when all of it is there: an array of texts, each with its length before it. */
function readCommand(bytes: Buffer): Command | undefined {
  let at = 0;
  const number = (prefix: string): number | undefined => {
    const end = bytes.indexOf("\r\n", at);
    if (end === -1) return undefined;
    const line = bytes.toString("latin1", at, end);
    if (!line.startsWith(prefix)) throw new Error(`this is no command: ${line.slice(0, 40)}`);
    at = end + 2;
    return Number(line.slice(1));
  };
  const count = number("*");
  if (count === undefined) return undefined;
  let name = "";
  for (let part = 0; part < count; part += 1) {
    const length = number("$");
    if (length === undefined || bytes.length < at + length + 2) return undefined;
    if (part === 0) name = bytes.toString("latin1", at, at + length).toLowerCase();
    at += length + 2;
  }
  return { name, length: at };
}
