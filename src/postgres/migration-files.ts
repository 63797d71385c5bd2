import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { MigrationError } from "./migration-error.ts";

/** One file of `migrations/`. */
export interface MigrationFile {
  readonly version: number;
  /** The file's name, `0001-schema.sql`. */
  readonly name: string;
  readonly checksum: string;
  readonly text: string;
  /** False when its first line is `-- no transaction` (for `create index concurrently` and its like). */
  readonly inTransaction: boolean;
}

/** The package's own migrations: two levels above both `src/postgres` and `dist/postgres`. */
export const packagedMigrations = fileURLToPath(new URL("../../migrations", import.meta.url));

const fileName = /^(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.sql$/;

/**
 * Reads the migrations of a folder in the order of their versions. Files other than `.sql` are left alone.
 *
 * @throws MigrationError `migration_file_invalid` for a name that is not `NNNN-name.sql` and for a version used twice.
 */
export async function readMigrations(directory: string): Promise<MigrationFile[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).toSorted();
  const files = await Promise.all(names.map((name) => readMigration(directory, name)));
  for (const [index, file] of files.entries()) {
    const next = files[index + 1];
    if (next?.version === file.version) {
      throw new MigrationError(
        "migration_file_invalid",
        next.name,
        `has the version of ${file.name}: give it the next free number`,
      );
    }
  }
  return files;
}

async function readMigration(directory: string, name: string): Promise<MigrationFile> {
  const version = fileName.exec(name)?.[1];
  if (version === undefined) {
    throw new MigrationError("migration_file_invalid", name, "is not named like 0001-what-it-does.sql");
  }
  // A checkout with CRLF line ends is the same migration.
  const text = (await readFile(join(directory, name), "utf8")).replaceAll("\r\n", "\n");
  return {
    version: Number(version),
    name,
    checksum: createHash("sha256").update(text).digest("hex"),
    text,
    inTransaction: !/^-- no transaction\b/.test(text),
  };
}
