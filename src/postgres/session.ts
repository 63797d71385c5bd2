/** What every session runs with: the decoders read UTC and ISO. */
const sessionSettings = "-c TimeZone=UTC -c DateStyle=ISO";

/**
 * The part of a `pg` configuration that names the server and the session's settings. They travel in the startup message, which
 * costs no round trip. A connection string's own `options` would replace ours in `pg`, so the two are joined there.
 */
export function connectionOf(connectionString: string): { connectionString: string; options: string } {
  const url = URL.canParse(connectionString) ? new URL(connectionString) : undefined;
  const given = url?.searchParams.get("options") ?? undefined;
  if (url === undefined || given === undefined) return { connectionString, options: sessionSettings };
  // Of a setting that is named twice the server takes the last.
  url.searchParams.set("options", `${given} ${sessionSettings}`);
  return { connectionString: url.href, options: sessionSettings };
}
