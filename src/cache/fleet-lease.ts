import { randomUUID } from "node:crypto";
import { type Clock, sleep, type Timer } from "../runtime/clock.ts";
import type { FleetCache, Found } from "./fleet.ts";

/** A holder that has died, or lost its connection before it learned that it was granted, is found out after so long. */
const leaseMs = 1_000;
const renewIntervalMs = leaseMs / 4;

const pollMsMin = 10;
const pollMsMax = 100;

/** What a process needs of the others, and how long it waits for them. */
export interface AgreeRequest {
  readonly knownBornMs: number | undefined;
  readonly maxAgeMs: number;
  /** After so long it computes for itself. */
  readonly waitMs: number;
  readonly onWait: () => void;
  readonly random: () => number;
}

/** Who computes: nobody (it is there, or has just failed), this process for all, or this process for itself. */
export type Agreement =
  | { readonly state: "found"; readonly found: Found }
  | { readonly state: "failed" | "alone" }
  | { readonly state: "granted"; readonly lease: FleetLease };

/**
 * Agrees with the other processes on who computes a key. While another does, asks again and again: its answer is found, its
 * failure stands, or its lease has run out and goes to who asks first. Without an answer in time, or without the store, this
 * process is on its own. Rejects with the signal's reason only.
 */
export async function agree(
  fleet: FleetCache,
  clock: Clock,
  key: string,
  { knownBornMs, maxAgeMs, waitMs, onWait, random }: AgreeRequest,
  signal: AbortSignal,
): Promise<Agreement> {
  const token = randomUUID();
  const deadlineMs = clock.monotonicMs() + waitMs;
  for (let pollMs = pollMsMin, asked = 0; ; pollMs = Math.min(pollMsMax, pollMs * 1.5), asked += 1) {
    const claim = await fleet.claim(key, { token, leaseMs, knownBornMs, maxAgeMs });
    if (claim.state === "found") return claim;
    if (claim.state === "granted")
      return { state: "granted", lease: new FleetLease(fleet, clock, key, token, claim.nowMs) };
    if (claim.state === "failed") return { state: "failed" };
    if (claim.state === "unavailable" || clock.monotonicMs() >= deadlineMs) return { state: "alone" };
    if (asked === 0) onWait();
    // Spread, so that the processes of a fleet do not ask in step.
    await sleep(clock, pollMs * (0.5 + random()), signal);
    signal.throwIfAborted();
  }
}

/** The right to compute a key for the fleet, renewed until it is filled or released. */
export class FleetLease {
  /** When the store granted it, by the store's clock: what is computed from now on is no older. */
  readonly bornMs: number;
  readonly #fleet: FleetCache;
  readonly #clock: Clock;
  readonly #key: string;
  readonly #token: string;
  #timer: Timer;

  constructor(fleet: FleetCache, clock: Clock, key: string, token: string, bornMs: number) {
    this.bornMs = bornMs;
    this.#fleet = fleet;
    this.#clock = clock;
    this.#key = key;
    this.#token = token;
    this.#timer = this.#renewLater();
  }

  /** Gives the value to the fleet, unless the lease is lost; then another process has computed or is computing. */
  async fill(value: string, keepMs: number): Promise<void> {
    this.#timer.cancel();
    await this.#fleet.fill(this.#key, this.#token, { value, bornMs: this.bornMs, keepMs });
  }

  /** With `pauseMs` the failure stands for everybody; with 0 anybody may try. */
  async release(pauseMs: number): Promise<void> {
    this.#timer.cancel();
    await this.#fleet.release(this.#key, this.#token, pauseMs);
  }

  #renewLater(): Timer {
    const renew = (): void => {
      this.#timer = this.#renewLater();
      void this.#fleet.renew(this.#key, this.#token, leaseMs);
    };
    return this.#clock.schedule(renewIntervalMs, renew, { unref: true });
  }
}
