/**
 * A process that holds an embedded Postgres, for tests of several processes: `embedded-holder.ts <dataDir> [uid]`. Says on one line
 * of JSON what it got, and stops the server when its standard input ends.
 */
import { EmbeddedPostgresError, startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const [dataDir = "", uid] = process.argv.slice(2);

if (uid !== undefined) becomeUser(Number(uid));
try {
  const server = await startEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: "off" } });
  say({ connectionString: server.connectionString, dataDir: server.dataDir, reused: server.reused });
  process.stdin.resume().once("end", () => void server.stop());
} catch (error) {
  say({ code: error instanceof EmbeddedPostgresError ? error.code : "unexpected", message: String(error) });
}

/** After the modules are loaded, which an ordinary user may not be able to read where root has its clone. */
function becomeUser(id: number): void {
  process.setgroups?.([]);
  process.setgid?.(id);
  process.setuid?.(id);
}

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
