import type { Logger } from "../runtime/logging.ts";

/**
 * Failures of the source that no caller hears of, because an older answer was there: one line when that begins for a key, one
 * when it is over. While one key fails, others are not told: they have the same source.
 */
export class SurvivedFailures {
  readonly #resource: string;
  readonly #logger: Logger;
  #failingKey: string | undefined;

  constructor({ resource, logger }: { readonly resource: string; readonly logger: Logger }) {
    this.#resource = resource;
    this.#logger = logger;
  }

  failed(key: string, error: unknown): void {
    if (this.#failingKey !== undefined) return;
    this.#failingKey = key;
    this.#log(
      "warn",
      { err: error },
      `${this.#resource} cannot be computed; the last answer is sent while it is young enough`,
    );
  }

  succeeded(key: string): void {
    if (this.#failingKey !== key) return;
    this.#failingKey = undefined;
    this.#log("info", {}, `${this.#resource} can be computed again`);
  }

  /** A host application may bring its own logger; one that throws must not fail a request. */
  #log(level: "info" | "warn", details: object, message: string): void {
    try {
      this.#logger[level]({ resource: this.#resource, ...details }, message);
    } catch {
      // There is nowhere left to report to; the failed computations are counted.
    }
  }
}
