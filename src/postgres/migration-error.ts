export type MigrationErrorCode =
  | "migration_file_invalid"
  | "migration_changed"
  | "migration_unknown"
  | "migration_pending"
  | "migration_failed"
  | "migration_needs_two_connections";

/** A database and the migrations of this build do not fit together, or one of them failed. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
  readonly code: MigrationErrorCode;
  /** The file that it is about. */
  readonly file: string;

  constructor(code: MigrationErrorCode, file: string, problem: string, options?: ErrorOptions) {
    super(`migration ${file} ${problem}`, options);
    this.code = code;
    this.file = file;
  }
}
