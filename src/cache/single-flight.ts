import type { Clock } from "../runtime/clock.ts";

/** What a run has brought. */
export interface Landing<Value> {
  readonly value: Value;
  /** Settles when callers will find the value elsewhere; until then (and the deadline at most) they join this run. */
  readonly stored: Promise<void>;
}

export interface SingleFlightOptions {
  readonly clock: Clock;
  /** Deadline of a run, from its beginning. */
  readonly timeoutMs: number;
  readonly timedOut: () => Error;
  /** How long a failure stands before the next run: callers get it without another try. */
  readonly failurePauseMs: number;
  /** Whether the error tells of the source, and so stands for the pause. */
  readonly isFailureOfSource: (error: unknown) => boolean;
  /** Failures that may stand at once, so that a stranger who asks for ever new keys cannot fill the memory. */
  readonly failuresMax: number;
}

/** A caller's part in a run: whether it began the run, joined it, or met the failure of one that is over. */
export interface Boarding<Value> {
  readonly role: "leader" | "follower" | "paused";
  readonly value: Promise<Value>;
}

/**
 * At most one run for each key at a time. Callers share its result; it belongs to none of them, so that one who leaves
 * takes nothing from the others.
 *
 * A flight is under way (callers join it), then landed (callers still join, until its value is stored) or failed (callers
 * get the failure, until the pause is over), and then forgotten. The deadline fails the first and forgets the second.
 */
export class SingleFlight<Value> {
  readonly #options: SingleFlightOptions;
  readonly #flights = new Map<string, Flight<Value>>();
  #failures = 0;

  constructor(options: SingleFlightOptions) {
    this.#options = options;
  }

  /**
   * Joins the flight there is, or begins `run`. Its signal aborts at the deadline, when its callers are told.
   *
   * @param isGood whether the value of a flight that has landed will still do; else the flight is forgotten at once. Default: always
   */
  board(
    key: string,
    run: (signal: AbortSignal) => Promise<Landing<Value>>,
    isGood: (value: Value) => boolean = () => true,
  ): Boarding<Value> {
    const existing = this.#flights.get(key);
    const landing = existing?.landing;
    if (existing !== undefined && landing !== undefined && !isGood(landing.value)) existing.state = "over";
    else if (existing !== undefined) {
      return { role: existing.state === "failed" ? "paused" : "follower", value: existing.value };
    }
    const flight = new Flight<Value>();
    this.#flights.set(key, flight);
    void this.#fly(key, flight, run);
    return { role: "leader", value: flight.value };
  }

  /** Whether a caller would join a run that has not ended. */
  isUnderway(key: string): boolean {
    return this.#flights.get(key)?.state === "underway";
  }

  /** Never rejects. */
  async #fly(key: string, flight: Flight<Value>, run: (signal: AbortSignal) => Promise<Landing<Value>>): Promise<void> {
    const { clock, timeoutMs, timedOut } = this.#options;
    const controller = new AbortController();
    const passDeadline = (): void => {
      const error = timedOut();
      controller.abort(error);
      this.#end(key, flight, error);
    };
    const deadline = clock.schedule(timeoutMs, passDeadline, { unref: true });
    try {
      const { value, stored } = await run(controller.signal);
      flight.land(value);
      await stored;
      this.#end(key, flight);
    } catch (error) {
      this.#end(key, flight, error);
    } finally {
      deadline.cancel();
    }
  }

  #end(key: string, flight: Flight<Value>, error?: unknown): void {
    const { clock, failurePauseMs, failuresMax, isFailureOfSource } = this.#options;
    // A run may end after its deadline has; by then the key can belong to another flight.
    if (flight.state === "failed" || flight.state === "over") return;
    const stands = flight.state === "underway" && this.#failures < failuresMax && isFailureOfSource(error);
    if (flight.state === "underway") flight.fail(error);
    else flight.state = "over";
    if (!stands) {
      this.#flights.delete(key);
      return;
    }
    this.#failures += 1;
    const forget = (): void => {
      this.#failures -= 1;
      this.#flights.delete(key);
    };
    clock.schedule(failurePauseMs, forget, { unref: true });
  }
}

class Flight<Value> {
  readonly value: Promise<Value>;
  /** While it is landed. */
  landing: { readonly value: Value } | undefined;
  state: "underway" | "landed" | "over" | "failed" = "underway";
  #resolve: (value: Value) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor() {
    this.value = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever waits is told; when every caller has left, nobody need be.
    this.value.catch(() => undefined);
  }

  land(value: Value): void {
    if (this.state === "underway") {
      this.state = "landed";
      this.landing = { value };
    }
    this.#resolve(value);
  }

  fail(error: unknown): void {
    this.state = "failed";
    this.#reject(error instanceof Error ? error : new Error("A computation failed", { cause: error }));
  }
}
