import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { after, test, type TestContext } from "node:test";

import { type ListenerOptions, openListener } from "../../src/postgres/listener.ts";
import { systemClock, type Timer } from "../../src/runtime/clock.ts";
import type { Service } from "../../src/runtime/lifecycle.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";

const { db, url } = await testDatabase({ after }, { migrated: false });

/** Hands out what a callback was given, in order, waiting for what has not come yet. */
class Inbox<T> {
  readonly #arrived: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  readonly put = (item: T): void => {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrived.push(item);
    else waiting(item);
  };

  next(): Promise<T> {
    const item = this.#arrived.shift();
    if (item !== undefined) return Promise.resolve(item);
    const { promise, resolve } = deferred<T>();
    this.#waiting.push(resolve);
    return promise;
  }
}

/** Tells of the pauses that the listener makes; the limit of its farewell (1 s) is no pause. */
class RecordingClock extends ManualClock {
  readonly #pauses: Inbox<number>;

  constructor(pauses: Inbox<number>) {
    super();
    this.#pauses = pauses;
  }

  override schedule(delayMs: number, callback: () => void): Timer {
    const timer = super.schedule(delayMs, callback);
    if (delayMs !== 1000) this.#pauses.put(delayMs);
    return timer;
  }
}

interface Setup {
  readonly listener: Service;
  readonly payloads: Inbox<string>;
  readonly connections: Inbox<string>;
  readonly warnings: Inbox<string>;
}

function setup(t: TestContext, changes: Partial<ListenerOptions> = {}): Setup {
  const payloads = new Inbox<string>();
  const connections = new Inbox<string>();
  const warnings = new Inbox<string>();
  const listener = openListener({
    connectionString: url,
    channel: "Wake ups",
    clock: systemClock,
    onPayload: payloads.put,
    onReconnect: () => connections.put("connected"),
    logger: { ...silentLogger, warn: (_: unknown, message?: string) => warnings.put(message ?? "") },
    ...changes,
  });
  t.after(() => listener.stop());
  return { listener, payloads, connections, warnings };
}

function notify(payload: string): Promise<unknown> {
  return db.query({ text: "select pg_notify('Wake ups', $1)", values: [payload] });
}

async function listeningPids(): Promise<number[]> {
  const rows = await db.query<{ pid: number }>({
    text: "select pid from pg_stat_activity where application_name = 'tasker listener Wake ups' and datname = current_database()",
  });
  return rows.map(({ pid }) => pid);
}

test("hands payloads on, in order", async (t) => {
  const { listener, payloads, connections } = setup(t);
  await listener.start();
  await connections.next();
  await notify("one");
  await notify("");
  assert.equal(await payloads.next(), "one");
  assert.equal(await payloads.next(), "");
});

test("connects again when its connection is lost, and says so", async (t) => {
  const { listener, payloads, connections, warnings } = setup(t);
  await listener.start();
  await connections.next();
  const [pid] = await listeningPids();
  await db.query({ text: "select pg_terminate_backend($1, 10000)", values: [pid] });
  assert.match(await warnings.next(), /will try again/u);
  await connections.next();
  await notify("after");
  assert.equal(await payloads.next(), "after");
  assert.equal((await listeningPids()).length, 1);
});

test("waits longer after each failure, up to 30 s, and no more once it is stopped", async (t) => {
  const pauses = new Inbox<number>();
  const clock = new RecordingClock(pauses);
  const { listener } = setup(t, { clock, connectionString: "postgres://u:p@127.0.0.1:1/x" });
  await listener.start();
  for (const longestMs of [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
    const pauseMs = await pauses.next();
    assert.ok(pauseMs >= longestMs / 2 && pauseMs <= longestMs, `${pauseMs} of ${longestMs}`);
    await clock.advance(pauseMs);
  }
  await pauses.next();
  await listener.stop();
  assert.equal(clock.pending, 0);
});

test("a callback that throws ends nothing", async (t) => {
  const seen = new Inbox<string>();
  const { listener } = setup(t, {
    onPayload: (payload) => {
      seen.put(payload);
      throw new Error("the caller's own");
    },
    onReconnect: () => {
      seen.put("connected");
      throw new Error("the caller's own");
    },
  });
  await listener.start();
  assert.equal(await seen.next(), "connected");
  await notify("one");
  await notify("two");
  assert.equal(await seen.next(), "one");
  assert.equal(await seen.next(), "two");
});

test("starts and stops any number of times, in any order, with one connection at most", async (t) => {
  const { listener, connections } = setup(t);
  await listener.stop();
  await Promise.all([listener.start(), listener.start()]);
  await connections.next();
  assert.equal((await listeningPids()).length, 1);
  const stopping = listener.stop();
  await Promise.all([listener.start(), stopping, listener.stop(), listener.stop(), listener.start()]);
  await connections.next();
  assert.equal((await listeningPids()).length, 1);
  await listener.stop();
  assert.deepEqual(await listeningPids(), []);
});

test("stops at once while it is connecting to a server that does not answer", async (t) => {
  const reached = new Inbox<Socket>();
  const silent = createServer(reached.put).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  assert.ok(typeof address === "object" && address !== null);
  const { listener } = setup(t, { connectionString: `postgres://u:p@127.0.0.1:${address.port}/x` });
  await listener.start();
  const socket = await reached.next();
  await listener.stop();
  socket.destroy();
  silent.close();
});

test("a connection string that makes no sense is logged, and stopping works", async (t) => {
  const { listener, warnings } = setup(t, { connectionString: "postgres://[" });
  await listener.start();
  assert.match(await warnings.next(), /cannot listen/u);
  await listener.stop();
});
