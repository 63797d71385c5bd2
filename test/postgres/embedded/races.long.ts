import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";

import { processEnded } from "../../../src/postgres/embedded/processes.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { ask, type Holder, postmasterPid, startHolder, startIn, temporaryFolder } from "../../support/embedded.ts";
import { runs } from "../../support/random.ts";

test("processes that start, stop and are killed in any order always get a server with all data", async (t) => {
  const folder = temporaryFolder(t);
  for (let round = 0; round < runs(40); round += 1) {
    const holders = await Promise.all(Array.from({ length: 3 }, () => startHolder(t, folder)));
    for (const { said } of holders) assert.equal(said.message, undefined, `round ${round}`);
    const [first] = holders;
    assert.ok(first);
    await ask(first.said.connectionString, `create table round_${round} ()`);
    const [tables] = await ask<{ count: number }>(
      first.said.connectionString,
      "select count(*) from pg_tables where tablename like 'round%'",
    );
    assert.equal(tables?.count, round + 1);
    await Promise.all(holders.map(end));
    if (randomInt(3) === 0) killServer(folder);
  }
  const last = await startIn(t, folder);
  const pid = postmasterPid(folder);
  await last.stop();
  assert.ok(await processEnded(systemClock, pid, 0));
});

function end(holder: Holder): Promise<void> {
  return randomInt(2) === 0 ? holder.finish() : holder.signal("SIGKILL");
}

function killServer(folder: string): void {
  try {
    process.kill(postmasterPid(folder), "SIGKILL");
  } catch {
    // It was stopped already.
  }
}
