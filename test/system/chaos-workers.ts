import assert from "node:assert/strict";

import { systemClock } from "../../src/runtime/clock.ts";
import type { Scope } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { TestProcess } from "../support/tasker-process.ts";

/** How a worker is started: what Node runs, and what follows. Plain JavaScript. */
export interface Program {
  readonly args: readonly string[];
}

export interface WorkersOptions {
  readonly program: Program;
  readonly url: string;
  /** Workers that run at the same time. */
  readonly count: number;
  readonly env?: Readonly<Record<string, string>>;
}

const leaseMs = 1500;

/** Leases and leadership end soon after the death of who holds them; the poll makes up for lost listeners. */
const impatient = {
  TASKER_WORKER_LEASE_MS: String(leaseMs),
  TASKER_WORKER_LEASE_RENEW_MS: "300",
  TASKER_WORKER_POLL_INTERVAL_MS: "200",
  TASKER_MAINTENANCE_LEADER_LEASE_MS: "1000",
  TASKER_MAINTENANCE_RESCUE_INTERVAL_MS: "100",
  TASKER_MAINTENANCE_FOLD_INTERVAL_MS: "200",
};

/** Two connections for twenty handlers: each second worker waits for its pool. */
const fewConnections = { TASKER_DATABASE_MAX_CONNECTIONS: "2" };

interface Paused {
  readonly worker: TestProcess;
  readonly sinceMs: number;
}

/** A fleet that starts a worker for each that is killed. */
export class ChaosWorkers {
  kills = 0;
  pauses = 0;
  readonly #scope: Scope;
  readonly #options: WorkersOptions;
  readonly #all: TestProcess[] = [];
  readonly #running = new Set<TestProcess>();
  readonly #starting = new Set<Promise<void>>();
  #paused: Paused[] = [];
  #isOver = false;
  /** Workers that ran and then ended by themselves: none may. */
  readonly #unexpected: string[] = [];

  constructor(scope: Scope, options: WorkersOptions) {
    this.#scope = scope;
    this.#options = options;
    scope.after(async () => void (this.#isOver = true));
  }

  async start(): Promise<void> {
    for (let index = 0; index < this.#options.count; index++) this.#startOne();
    await this.#run(1);
  }

  /** Kills a running worker at once and starts another in its place. */
  async kill(pick: number): Promise<void> {
    const victim = await this.#take(pick);
    victim.kill("SIGKILL");
    this.kills += 1;
    this.#startOne();
    await victim.ended;
  }

  /** Stops the process of one of two running workers; `wake` lets it go on when its leases have ended. */
  async pause(pick: number): Promise<void> {
    await this.#run(2);
    const worker = await this.#take(pick);
    worker.kill("SIGSTOP");
    this.pauses += 1;
    this.#paused.push({ worker, sinceMs: systemClock.monotonicMs() });
  }

  wake(): void {
    const nowMs = systemClock.monotonicMs();
    const due = this.#paused.filter(({ sinceMs }) => nowMs - sinceMs > 2 * leaseMs);
    this.#paused = this.#paused.filter((one) => !due.includes(one));
    for (const { worker } of due) {
      worker.kill("SIGCONT");
      this.#running.add(worker);
    }
  }

  /** Lets every paused one go on when its leases have ended. */
  async wakeAll(): Promise<void> {
    const look = (): Promise<number> => {
      this.wake();
      return Promise.resolve(this.#paused.length);
    };
    await eventually("all paused workers go on", look, (left) => left === 0);
  }

  /** Stops all gracefully: each ends well. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#starting);
    for (const worker of this.#running) worker.kill("SIGTERM");
    for (const worker of this.#running) {
      const { code, stderr } = await worker.ended;
      assert.equal(code, 0, stderr);
    }
    assert.deepEqual(this.#unexpected, [], "workers that ended by themselves");
  }

  /** How many log lines of all workers match. */
  logged(pattern: RegExp): number {
    return this.#all.reduce((sum, { logLines }) => sum + logLines.filter((line) => pattern.test(line)).length, 0);
  }

  async #take(pick: number): Promise<TestProcess> {
    await this.#run(1);
    const running = [...this.#running];
    const worker = running[pick % running.length];
    assert.ok(worker !== undefined);
    this.#running.delete(worker);
    return worker;
  }

  async #run(count: number): Promise<void> {
    const ask = (): Promise<number> => Promise.resolve(this.#running.size);
    await eventually(`${count} workers run`, ask, (running) => running >= count);
  }

  #startOne(): void {
    const starting = this.#startUntilItRuns(this.#all.length).finally(() => this.#starting.delete(starting));
    this.#starting.add(starting);
  }

  /** A worker that finds no database at its start ends, and whatever supervises it starts it again. */
  async #startUntilItRuns(number: number): Promise<void> {
    const { program, url, env } = this.#options;
    while (!this.#isOver) {
      const worker = new TestProcess(this.#scope, program.args, {
        env: { ...impatient, ...(number % 2 === 0 ? {} : fewConnections), ...env, DATABASE_URL: url },
        isTypeScript: false,
      });
      this.#all.push(worker);
      const isRunning = await worker.printed(/running steps/u).then(
        () => true,
        () => false,
      );
      if (!isRunning) continue;
      this.#running.add(worker);
      void this.#watch(worker);
      return;
    }
  }

  async #watch(worker: TestProcess): Promise<void> {
    const { code, stderr } = await worker.ended;
    if (this.#running.delete(worker) && !this.#isOver) this.#unexpected.push(`${code}: ${stderr.slice(-2000)}`);
  }
}
