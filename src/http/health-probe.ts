import type { Clock } from "../runtime/clock.ts";
import type { HealthReport } from "./options.ts";

/** Who probes wants an answer soon; one that comes later counts as none. */
const deadlineMs = 2_000;

/**
 * Asks for the health with a deadline. Probes that come together share one question, so that probing cannot become a load;
 * one that hangs is given up with its deadline, and the next probe asks anew.
 */
export class HealthProbe {
  readonly #ask: () => Promise<HealthReport>;
  readonly #clock: Clock;
  #underway: Promise<HealthReport> | undefined;

  constructor(ask: () => Promise<HealthReport>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** Never rejects. */
  report(): Promise<HealthReport> {
    this.#underway ??= this.#askInTime().finally(() => {
      this.#underway = undefined;
    });
    return this.#underway;
  }

  #askInTime(): Promise<HealthReport> {
    return new Promise((resolve) => {
      const failed = (reason: string) => (): void => {
        resolve({ healthy: false, checks: [{ name: "health", healthy: false, detail: { reason } }] });
      };
      const deadline = this.#clock.schedule(deadlineMs, failed(`no report within ${deadlineMs} ms`), { unref: true });
      Promise.resolve()
        .then(this.#ask)
        .then(resolve, failed("the check failed"))
        .finally(() => deadline.cancel());
    });
  }
}
