import pg from "pg";

import { type Clock, sleep } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logging.ts";
import { connectionOf } from "./session.ts";

const firstDelayMs = 100;
const longestDelayMs = 30_000;
const connectTimeoutMs = 10_000;
const politeEndMs = 1000;
/** TCP says nothing about a peer that vanished; without probes a listener would wait on it for ever. */
const keepAliveAfterMs = 15_000;

export interface ListenerOptions {
  readonly connectionString: string;
  /** Name of the channel, as in `notify`. */
  readonly channel: string;
  readonly clock: Clock;
  /** Called with each notification's payload (empty when it has none). */
  readonly onPayload: (payload: string) => void;
  /**
   * Called each time listening begins, the first time included: what was sent before is lost, so this is the moment to look
   * for work once.
   */
  readonly onReconnect: () => void;
  readonly logger: Logger;
}

/**
 * A dedicated connection that listens on one channel for as long as the service runs, and connects again when it is lost:
 * after 100 ms at first, then with doubling, jittered pauses of at most 30 s. `start` does not wait for the connection, since
 * nothing depends on it but latency. What the callbacks throw is logged.
 *
 * The connection string must lead to Postgres itself or to a pooler in session mode: a listener needs a session of its own.
 */
export function openListener(options: ListenerOptions): Service {
  return new Listener(options);
}

class Listener implements Service {
  readonly name: string;
  readonly #options: ListenerOptions;
  #controller: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(options: ListenerOptions) {
    this.name = `listener ${options.channel}`;
    this.#options = options;
  }

  start(): Promise<void> {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      // After a stop that is under way, so that there is never more than one connection.
      this.#ended = this.#ended.then(() => this.#listenUntil(controller.signal));
    }
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#controller?.abort();
    this.#controller = undefined;
    await this.#ended;
  }

  async #listenUntil(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const error = await this.#session(stop).catch((reason: unknown) => reason);
      if (stop.aborted) return;
      this.#log(this.#failures === 0 ? "warn" : "debug", "cannot listen for notifications, will try again", error);
      await sleep(this.#options.clock, delayAfter(this.#failures), stop);
      this.#failures += 1;
    }
  }

  /** One connection, from its beginning to its end. Resolves to what ended it. */
  async #session(stop: AbortSignal): Promise<unknown> {
    const { connectionString, channel, onPayload } = this.#options;
    let onOver: (reason?: Error) => void = () => {};
    const over = new Promise<Error | undefined>((resolve) => {
      onOver = resolve;
    });
    const onStop = (): void => onOver();
    stop.addEventListener("abort", onStop);
    const client = new pg.Client({
      ...connectionOf(connectionString),
      application_name: `tasker ${this.name}`,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveAfterMs,
    });
    // Without this listener an 'error' event would end the process.
    client.on("error", onOver);
    client.once("end", onStop);
    client.on("notification", ({ payload }) => this.#guarded(stop, () => onPayload(payload ?? "")));
    let connected = false;
    try {
      await Promise.race([client.connect(), over]);
      connected = !stop.aborted;
      if (connected) await client.query(`listen ${client.escapeIdentifier(channel)}`);
      this.#guarded(stop, () => this.#listening());
      return await over;
    } catch (error) {
      return error;
    } finally {
      stop.removeEventListener("abort", onStop);
      if (connected) await this.#end(client);
      client.connection.stream.destroy();
    }
  }

  #listening(): void {
    if (this.#failures > 0) this.#log("info", "listens for notifications again");
    this.#failures = 0;
    this.#options.onReconnect();
  }

  /** Ends politely, but does not wait for a server that cannot be reached any more. */
  async #end(client: pg.Client): Promise<void> {
    const ended = new AbortController();
    await Promise.race([client.end().then(() => ended.abort()), sleep(this.#options.clock, politeEndMs, ended.signal)]);
  }

  #guarded(stop: AbortSignal, callback: () => void): void {
    if (stop.aborted) return;
    try {
      callback();
    } catch (error) {
      this.#log("error", "a callback of the listener failed", error);
    }
  }

  /** A host application may bring its own logger; one that throws must not end the listening. */
  #log(level: "debug" | "info" | "warn" | "error", message: string, error?: unknown): void {
    try {
      this.#options.logger[level]({ service: this.name, ...(error === undefined ? {} : { err: error }) }, message);
    } catch {
      // There is nowhere left to report to.
    }
  }
}

/** Half of the pause is random, so that the listeners of a server that restarts do not come back all at once. */
function delayAfter(failures: number): number {
  const full = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 20));
  return full * (0.5 + Math.random() / 2);
}
