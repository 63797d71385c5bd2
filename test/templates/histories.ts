import assert from "node:assert/strict";

import fc from "fast-check";

import type { CacheHealth, SharedCacheProvider } from "../../src/cache/contract.ts";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { FleetCacheOf } from "../../src/cache/fleet.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { decodeRevision } from "../../src/templates/current-revision.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import { MovedStore } from "../cache/moved-store.ts";
import { unheard } from "../cache/support.ts";
import { ManualClock } from "../support/clock.ts";
import { type Ending, HeldDatabase, type Held } from "./held-database.ts";
import { type Around, WatchedCache } from "./watched-cache.ts";

const processes = 3;
const ttlMs = 60_000;
const template = { namespace: "shop", name: "order", version: "1.0.0" };
const keys = new CacheKeys("test");
const key = keys.template(template.namespace, template.name, template.version);

/**
 * What a history may do. `end` ends what is under way in one of the ways, `endAll` ends everything well; `late` is an operation that
 * was given up and happens. Of the processes, the number after the last means all of them.
 */
export type Step =
  | { readonly do: "read" | "submit" | "register" | "notice" | "relisten" | "lose" | "mend"; readonly process: number }
  | { readonly do: "end"; readonly nth: number; readonly how: Ending }
  | { readonly do: "endAll" }
  | { readonly do: "late"; readonly nth: number }
  | { readonly do: "advance"; readonly ms: number };

const process = fc.nat({ max: processes - 1 });
const oneOrAll = fc.nat({ max: processes });
const nth = fc.nat({ max: 7 });

const working: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("read" as const, "submit" as const), process }) },
  { weight: 16, arbitrary: fc.record({ do: fc.constant("end" as const), nth, how: fc.constant("done" as const) }) },
  { weight: 2, arbitrary: fc.constant({ do: "endAll" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("register" as const), process }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("notice" as const), process: oneOrAll }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 7_000 }) }) },
);

const endings = ["done", "failed", "unheard", "late"] as const;

const faulty: fc.Arbitrary<Step> = fc.oneof(
  { weight: 29, arbitrary: working },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("end" as const), nth, how: fc.constantFrom(...endings) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("lose" as const, "mend" as const), process: oneOrAll }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("relisten" as const), process }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("late" as const), nth }) },
);

/** Without a size of its own the library makes histories of five steps on average, however long they may be. */
const lengths = { minLength: 10, maxLength: 80, size: "max" } as const;

export const workingHistories = fc.array(working, lengths);
export const faultyHistories = fc.array(faulty, lengths);

/** What a control breaks: a fill without a lease, an invalidation that is not tried again, a creation that checks nothing. */
export type Flaw = "unfenced" | "forgetful" | "unchecked";

interface Member {
  readonly store: TemplateStore;
  readonly submitter: TaskSubmitter;
  readonly cache: MemberCache;
  /** Notices that have not arrived. */
  notices: number;
}

/** The way of one process to the store. */
class MemberCache extends WatchedCache {
  away = false;

  override healthCheck(): Promise<CacheHealth> {
    return Promise.resolve({ healthy: !this.away, figures: {} });
  }
}

/**
 * Processes whose stores, submitters and retries are the real ones, over a store of the fleet and a Postgres in which each
 * operation is a step of the history. Checks at each of them what must hold.
 */
export class World {
  readonly #clock = new ManualClock();
  readonly #shared = new MovedStore(this.#clock);
  readonly #held: Held[] = [];
  readonly #late: (() => void)[] = [];
  readonly #members: readonly Member[];
  readonly #database: HeldDatabase;
  /** Nothing older may come out of the cache: what was committed when the entry was last deleted. */
  #floor = 0;
  /** The newest revision whose registration has returned. */
  #returned = 0;
  #problem: unknown;
  readonly #flaw: Flaw | undefined;

  constructor(flaw?: Flaw) {
    this.#flaw = flaw;
    this.#database = new HeldDatabase(this.#held, template, flaw !== "unchecked");
    this.#members = Array.from({ length: processes }, () => this.#member());
  }

  async play(history: readonly Step[]): Promise<void> {
    for (const one of history) {
      await this.#play(one);
      await this.#clock.advance(0);
      assert.ifError(this.#problem);
    }
    await this.#end();
  }

  async #play(one: Step): Promise<void> {
    if (one.do === "advance") return this.#clock.advance(one.ms);
    if (one.do === "late") return this.#late.splice(one.nth % Math.max(1, this.#late.length), 1)[0]?.();
    if (one.do === "end") {
      const [held] = this.#held.splice(one.nth % Math.max(1, this.#held.length), 1);
      return held?.end(one.how);
    }
    if (one.do === "endAll") return this.#endAll();
    for (const member of this.#members) {
      if (one.process === processes || this.#members[one.process] === member) this.#playIn(member, one.do);
    }
  }

  #playIn(member: Member, what: Extract<Step, { process: number }>["do"]): void {
    if (what === "read") this.#watch(member.store.current(template));
    if (what === "submit") this.#submit(member);
    if (what === "register") this.#register(member);
    if (what === "lose" || what === "mend") member.cache.away = what === "lose";
    if (what === "notice") for (; member.notices > 0; member.notices -= 1) this.#watch(member.store.evict(template));
    if (what === "relisten") {
      // What has not arrived never will.
      member.notices = 0;
      this.#watch(member.store.reviewAll());
    }
  }

  /** The commit, with its notices; then what the registering process does, whose end is the return of the registration. */
  #register({ store }: Member): void {
    const revision = this.#database.commit();
    for (const member of this.#members) member.notices += 1;
    const returned = (): void => void (this.#returned = Math.max(this.#returned, revision));
    this.#watch(store.evict(template).then(returned));
  }

  #submit({ submitter }: Member): void {
    const atLeast = this.#returned;
    const create = async (): Promise<void> => {
      const [task] = await submitter.submit(template, [{ input: null }]);
      const revision = this.#database.revisionOf(task?.id ?? "");
      assert.ok(revision >= atLeast, `a task of revision ${revision} after ${atLeast} had returned`);
    };
    this.#watch(create());
  }

  /** With Postgres gone a reader fails; nothing else may. */
  #watch(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      const isExpected = error instanceof Error && error.message === "Postgres is away";
      if (!isExpected) this.#problem ??= error;
    });
  }

  /** Everything works again: in less than the time to live nothing stale is left, and the cache is in use. */
  async #end(): Promise<void> {
    for (const member of this.#members) {
      member.cache.away = false;
      this.#playIn(member, "notice");
    }
    for (let i = 0; i < 7; i++) {
      for (const late of this.#late.splice(0)) late();
      await this.#endAll();
      await this.#clock.advance(1_000);
    }
    assert.ifError(this.#problem);
    const left = (await this.#shared.find(key))?.value.toString();
    const current = this.#database.revision;
    assert.ok(left === undefined || decodeRevision(left)?.revisionId === current, `${left} is left, not ${current}`);
    for (const { store } of this.#members) {
      const reading = store.current(template);
      await this.#clock.advance(0);
      await this.#endAll();
      assert.equal((await reading)?.revisionId, current);
    }
    assert.notEqual(await this.#shared.find(key), undefined, "redis is used again");
    for (const { store } of this.#members) store.stop();
  }

  async #endAll(): Promise<void> {
    for (let round = 0; round < 30 && this.#held.length > 0; round++) {
      for (const held of this.#held.splice(0)) held.end("done");
      await this.#clock.advance(0);
    }
  }

  #member(): Member {
    const cache = new MemberCache(this.#flaw === "unfenced" ? unfenced(this.#shared) : this.#shared);
    cache.around = this.#around(cache);
    const about = { ...unheard, clock: this.#clock };
    const fleet = FleetCacheOf.create(cache, "templates", { ...about, chosen: true });
    const store = new TemplateStore({ ...about, database: this.#database, cache: fleet, keys, ttlMs });
    const database = this.#database;
    const registry = new TaskHandlerRegistry({ database, store, logger: silentLogger, allowGraphChange: false });
    const wakeUps = new WakeUps(database, this.#clock, silentLogger);
    return { cache, store, submitter: new TaskSubmitter({ database, store, registry, wakeUps }), notices: 0 };
  }

  /** An operation happens when the history ends it, then or later, and its caller hears of it or not. */
  #around(cache: MemberCache): Around {
    return (operation, run) => {
      if (cache.away) {
        if (operation === "invalidate" && this.#flaw === "forgetful") return Promise.resolve(undefined as never);
        return Promise.reject(new CacheStoreError("not_ready", "away"));
      }
      return new Promise((resolve, reject) => {
        const happen = async (): Promise<Awaited<ReturnType<typeof run>>> => {
          if (operation === "invalidate") this.#floor = this.#database.revision;
          // Others may happen before this one is heard of.
          const floor = this.#floor;
          const result = await run();
          if (operation === "find" || operation === "claim") this.#checkRead(result, floor);
          return result;
        };
        const isForgotten = operation === "invalidate" && this.#flaw === "forgetful";
        const givenUp = (): void =>
          isForgotten ? resolve(undefined as never) : reject(new CacheStoreError("timeout", "given up"));
        this.#held.push({
          end: (how) => {
            if (how === "done") happen().then(resolve, reject);
            if (how === "unheard") void happen().catch((error: unknown) => (this.#problem ??= error));
            if (how === "late")
              this.#late.push(() => void happen().catch((error: unknown) => (this.#problem ??= error)));
            if (how !== "done") givenUp();
          },
        });
      });
    };
  }

  #checkRead(result: unknown, floor: number): void {
    // Values are bytes, of which JSON makes numbers.
    const readable = JSON.stringify(result ?? "", (name, one: unknown) => (name === "value" ? textOf(one) : one));
    const text = /"revisionId":(\d+)/u.exec(readable.replaceAll("\\", ""))?.[1];
    if (text === undefined || Number(text) >= floor) return;
    this.#problem ??= new Error(`revision ${text} was found after it had been deleted for ${floor}`);
  }
}

/** What JSON has made of bytes already, as text again. */
function textOf(value: unknown): unknown {
  const isBytes = typeof value === "object" && value !== null && "data" in value && Array.isArray(value.data);
  return isBytes ? Buffer.from(value.data as number[]).toString() : value;
}

/** A store that accepts every fill: what plain cache-aside does. */
function unfenced(shared: MovedStore): SharedCacheProvider {
  const cache = new WatchedCache(shared);
  cache.fill = (_key, _token, { value, bornMs }) => {
    shared.setRaw(key, `${bornMs}\n${value}`);
    return Promise.resolve(true);
  };
  return cache;
}
