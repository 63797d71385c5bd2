/** What COPY in the binary format begins and ends with (PostgreSQL documentation, "COPY", "Binary Format"). */
export const binaryCopyHeader: Buffer = Buffer.from("PGCOPY\n\u00FF\r\n\0\0\0\0\0\0\0\0\0", "latin1");
export const binaryCopyTrailer: Buffer = Buffer.from([0xff, 0xff]);

/** Postgres counts its timestamps from 2000-01-01. */
const postgresEpochUs = Date.UTC(2000, 0, 1) * 1000;
const chunkBytes = 256 * 1024;
/** What a row of fields of a fixed length takes at most. */
const plainRowBytes = 1024;
const int4Oid = 23;
const int8Oid = 20;

/**
 * Encodes rows for COPY in the binary format. `begin` each row with its number of columns, then append its fields in order;
 * full chunks are taken with `take`.
 *
 * Fields are appended without a check of their table's types: the server refuses a field of another length.
 */
export class BinaryRows {
  #buffer = Buffer.allocUnsafeSlow(chunkBytes);
  // Faster than the buffer's own methods.
  #view = viewOf(this.#buffer);
  #at = 0;
  #full: Buffer[] = [];
  #rows = 0;

  /** Rows begun since the last `take`. */
  get rows(): number {
    return this.#rows;
  }

  /** Whether a chunk is full, so that `takeFull` gives something. */
  get hasFull(): boolean {
    return this.#full.length > 0;
  }

  begin(columns: number): void {
    this.#reserve(plainRowBytes);
    this.#rows += 1;
    this.#view.setInt16(this.#at, columns);
    this.#at += 2;
  }

  int4(value: number): void {
    this.#view.setInt32(this.#at, 4);
    this.#view.setInt32(this.#at + 4, value);
    this.#at += 8;
  }

  /** A whole number up to 2^53. */
  int8(value: number): void {
    this.#view.setInt32(this.#at, 8);
    this.#view.setInt32(this.#at + 4, Math.floor(value / 2 ** 32));
    this.#view.setUint32(this.#at + 8, value >>> 0);
    this.#at += 12;
  }

  /** A timestamptz, in microseconds since 1970. */
  timestamp(us: number): void {
    this.int8(us - postgresEpochUs);
  }

  /** The timestamptz `-infinity`. */
  minusInfinity(): void {
    this.#view.setInt32(this.#at, 8);
    this.#view.setInt32(this.#at + 4, -0x80000000);
    this.#view.setInt32(this.#at + 8, 0);
    this.#at += 12;
  }

  bool(value: boolean): void {
    this.#view.setInt32(this.#at, 1);
    this.#view.setUint8(this.#at + 4, value ? 1 : 0);
    this.#at += 5;
  }

  /** A text in ASCII of at most 63 bytes: also a "char" and the label of an enum. */
  label(value: string): void {
    this.#view.setInt32(this.#at, value.length);
    this.#at += 4;
    for (let index = 0; index < value.length; index++) this.#view.setUint8(this.#at + index, value.charCodeAt(index));
    this.#at += value.length;
  }

  /** A uuid, as four numbers of 32 bits. */
  uuid(a: number, b: number, c: number, d: number): void {
    this.#view.setInt32(this.#at, 16);
    this.#view.setUint32(this.#at + 4, a);
    this.#view.setUint32(this.#at + 8, b);
    this.#view.setUint32(this.#at + 12, c);
    this.#view.setUint32(this.#at + 16, d);
    this.#at += 20;
  }

  null(): void {
    this.#view.setInt32(this.#at, -1);
    this.#at += 4;
  }

  int4Array(values: readonly number[]): void {
    this.#arrayHeader(int4Oid, values.length, 8);
    for (const value of values) this.int4(value);
  }

  int8Array(values: readonly number[]): void {
    this.#arrayHeader(int8Oid, values.length, 12);
    for (const value of values) this.int8(value);
  }

  /** The chunks that are full, which are then no longer here. */
  takeFull(): Buffer[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** Everything so far, which is then no longer here. */
  take(): Buffer[] {
    if (this.#at > 0) this.#flush(chunkBytes);
    this.#rows = 0;
    return this.takeFull();
  }

  #arrayHeader(oid: number, length: number, elementBytes: number): void {
    this.#reserve(24 + length * elementBytes + plainRowBytes);
    const dimensions = length === 0 ? 0 : 1;
    const header = [12 + dimensions * 8 + length * elementBytes, dimensions, 0, oid];
    if (dimensions === 1) header.push(length, 1);
    for (const field of header) {
      this.#view.setInt32(this.#at, field);
      this.#at += 4;
    }
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes > this.#buffer.length) this.#flush(Math.max(chunkBytes, bytes));
  }

  /** What is handed out is read later: the rows to come get another buffer. */
  #flush(bytes: number): void {
    this.#full.push(this.#buffer.subarray(0, this.#at));
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
    this.#view = viewOf(this.#buffer);
    this.#at = 0;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
