import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Freshness } from "../../src/cache/freshness.ts";
import type { Scope } from "../support/database.ts";

export interface MemberOptions {
  readonly url: string;
  readonly freshness: Freshness;
  readonly computeMs: number;
  readonly fails: boolean;
  /** What this host's clocks show more than those of the others. */
  readonly clockOffsetMs: number;
  readonly commandBudgetMs: number;
}

export type Request =
  | { readonly do: "wave" | "startLoad"; readonly key: string; readonly count: number }
  | { readonly do: "endLoad" | "stop" };

/** What became of some requests. */
export interface Wave {
  answered: number;
  failed: number;
  oldestMs: number;
  /** How often another process was waited for meanwhile. */
  leaseWaits: number;
  readonly bodies: string[];
}

type Message =
  | { readonly kind: "ready" | "serving" | "without" | "loading" | "computed" }
  | { readonly kind: "wave"; readonly wave: Wave };

/** A process of the fleet. */
export class Member {
  /** How often its source was asked. */
  computed = 0;
  readonly #child: ChildProcess;
  readonly #seen: Message[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (message: Message) => {
      if (message.kind === "computed") this.computed += 1;
      else this.#seen.push(message);
      for (const listener of this.#listeners) listener();
    });
  }

  /** Resolves with the next message of this kind that was not awaited before. */
  next<Kind extends Message["kind"]>(kind: Kind): Promise<Extract<Message, { kind: Kind }>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const at = this.#seen.findIndex((message) => message.kind === kind);
        if (at === -1) return;
        this.#listeners.delete(look);
        // Of this kind, as was looked for.
        resolve(this.#seen.splice(at, 1)[0] as Extract<Message, { kind: Kind }>);
      };
      this.#listeners.add(look);
      look();
    });
  }

  ask(request: Request): void {
    this.#child.send(request);
  }

  async wave(key: string, count: number): Promise<Wave> {
    this.ask({ do: "wave", key, count });
    return (await this.next("wave")).wave;
  }

  async startLoad(key: string, count: number): Promise<void> {
    this.ask({ do: "startLoad", key, count });
    await this.next("loading");
  }

  async endLoad(): Promise<Wave> {
    this.ask({ do: "endLoad" });
    return (await this.next("wave")).wave;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

/** Starts processes of a fleet, all of which use redis when this resolves. They are gone after the scope. */
export async function startMembers(
  scope: Scope,
  count: number,
  options: Partial<MemberOptions> & { readonly url: string },
): Promise<Member[]> {
  const defaults = {
    freshness: { ttlMs: 60_000, staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 },
    computeMs: 50,
    fails: false,
    clockOffsetMs: 0,
    // Several processes share few processors here: what is tested must not depend on who gets one when.
    commandBudgetMs: 1_000,
  };
  const argument = JSON.stringify({ ...defaults, ...options });
  const program = join(import.meta.dirname, "fleet-member.ts");
  const members = Array.from({ length: count }, () => {
    const child = fork(program, [argument], {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    return new Member(child);
  });
  scope.after(async () => void (await Promise.all(members.map((member) => member.stop()))));
  await Promise.all(members.map((member) => member.next("serving")));
  return members;
}

/** How often the fleet asked its source. */
export function computations(members: readonly Member[]): number {
  return members.reduce((sum, { computed }) => sum + computed, 0);
}
