import type { App } from "../../app.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logging.ts";
import type { StopSignal } from "../stop-signal.ts";
import type { Terminal } from "../terminal.ts";

/** What the parts of the demo work with. */
export interface Demo extends Pick<App, "submitter" | "outcomes"> {
  /** Of the HTTP API. */
  readonly address: string;
  /** Of the first task that it submits. */
  readonly firstNumber: number;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly stop: StopSignal;
  /** 0 when the analytics are not cached. */
  readonly analyticsTtlSeconds: number;
  readonly logger: Logger;
}
