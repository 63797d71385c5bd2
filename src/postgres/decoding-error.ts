/** A value that the database sent cannot be given to JavaScript without changing it. */
export class DecodingError extends Error {
  override readonly name = "DecodingError";
  readonly code: "number_out_of_range" | "timestamp_not_readable";

  constructor(code: DecodingError["code"], message: string) {
    super(message);
    this.code = code;
  }
}
