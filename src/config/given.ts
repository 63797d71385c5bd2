/** A value that one source gives to one key, before it was looked at. */
export interface Given {
  /** The path as it was written, which may be an alias. */
  readonly path: string;
  readonly value: unknown;
  /** The value is a text that stands for whatever the key expects: `"8080"` for an integer. */
  readonly isText: boolean;
  /** Where it stands, as a reader would look for it. */
  readonly origin: string;
  /** What to print instead of the value: the placeholder, when the value came out of one and may be a secret. */
  readonly shown?: string;
}
