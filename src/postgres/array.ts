/** What one element of an array becomes. */
type DecodeElement = (text: string) => unknown;

/**
 * Reads Postgres's text of an array (`{1,NULL,"a \"b\""}`, nested, or with bounds as in `[0:1]={1,2}`).
 * The text comes from the server, so it is well-formed; an element that is null stays null.
 */
export function decodeArray(text: string, decode: DecodeElement): unknown[] {
  if (text === "{}") return [];
  const start = text.startsWith("[") ? text.indexOf("=") + 1 : 0;
  // Without quotes or nesting, which is what numbers, uuids and times are, splitting is all there is to do.
  if (!text.includes('"') && !text.includes("{", start + 1)) {
    return text
      .slice(start + 1, -1)
      .split(",")
      .map((element) => (element === "NULL" ? null : decode(element)));
  }
  return new ArrayReader(text, start, decode).read();
}

class ArrayReader {
  readonly #text: string;
  readonly #decode: DecodeElement;
  #position: number;

  constructor(text: string, start: number, decode: DecodeElement) {
    this.#text = text;
    this.#position = start;
    this.#decode = decode;
  }

  /** Reads one `{...}`; the position is on its brace before and behind its closing one after. */
  read(): unknown[] {
    const elements: unknown[] = [];
    this.#position += 1;
    while (this.#text[this.#position] !== "}") {
      elements.push(this.#element());
      if (this.#text[this.#position] === ",") this.#position += 1;
    }
    this.#position += 1;
    return elements;
  }

  #element(): unknown {
    const first = this.#text[this.#position];
    if (first === "{") return this.read();
    if (first === '"') return this.#decode(this.#quoted());
    const start = this.#position;
    while (this.#text[this.#position] !== "," && this.#text[this.#position] !== "}") this.#position += 1;
    const bare = this.#text.slice(start, this.#position);
    return bare === "NULL" ? null : this.#decode(bare);
  }

  #quoted(): string {
    let value = "";
    let start = this.#position + 1;
    for (this.#position = start; this.#text[this.#position] !== '"'; this.#position += 1) {
      if (this.#text[this.#position] !== "\\") continue;
      value += this.#text.slice(start, this.#position);
      this.#position += 1;
      start = this.#position;
    }
    value += this.#text.slice(start, this.#position);
    this.#position += 1;
    return value;
  }
}
