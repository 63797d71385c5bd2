import { noticeChannel } from "../../src/engine/wake-ups.ts";
import { openListener } from "../../src/postgres/listener.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import type { Scope } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { eventually } from "../support/eventually.ts";

const limitMs = 20_000;

/** The notices of a database, in the order of their arrival. */
export interface Notices {
  /** Resolves to the first that was not asked for yet. */
  readonly next: () => Promise<string>;
  readonly waiting: () => number;
}

/** What arrives on the channel, from now on. */
export async function listen(scope: Scope, url: string): Promise<Notices> {
  const arrived: string[] = [];
  const listening = deferred();
  const listener = openListener({
    connectionString: url,
    channel: noticeChannel,
    clock: systemClock,
    logger: silentLogger,
    onPayload: (payload) => void arrived.push(payload),
    onReconnect: listening.resolve,
  });
  await listener.start();
  scope.after(() => listener.stop());
  await listening.promise;
  return {
    waiting: () => arrived.length,
    async next() {
      await eventually(
        "a notice arrives",
        async () => arrived.length,
        (count) => count > 0,
        limitMs,
      );
      return arrived.shift() ?? "";
    },
  };
}
