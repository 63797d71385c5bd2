import type { Sql } from "./sql.ts";

/** The version of the server as it names itself, `18.4`. */
export async function readServerVersion(sql: Sql): Promise<string> {
  const text = "select split_part(current_setting('server_version'), ' ', 1) as version";
  const [row] = await sql.query<{ version: string }>({ text });
  if (row === undefined) throw new Error("the server did not tell its version");
  return row.version;
}
