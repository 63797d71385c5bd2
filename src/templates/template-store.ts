import { randomUUID } from "node:crypto";

import type { FleetCache } from "../cache/fleet.ts";
import type { CacheKeys } from "../cache/keys.ts";
import type { CacheMetrics } from "../cache/metrics.ts";
import type { Database, Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { TemplateName } from "../workflow/template.ts";
import {
  type CurrentRevision,
  decodeRevision,
  encodeRevision,
  readCurrentRevision,
  readCurrentRevisionIds,
} from "./current-revision.ts";
import { Invalidations } from "./invalidations.ts";

export interface TemplateStoreOptions {
  /** Where templates are read. */
  readonly database: Database;
  /** What all processes share of the templates; without it each read asks Postgres. */
  readonly cache: FleetCache<"templates"> | undefined;
  readonly keys: CacheKeys;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<CacheMetrics, "request" | "error">;
}

/** `missing` may be filled, `uncached` must not be. */
type Cached =
  | { readonly state: "found"; readonly revision: CurrentRevision }
  | { readonly state: "missing"; readonly knownBornMs: number | undefined }
  | { readonly state: "uncached" };

/** A reader that has not filled after so long has lost its lease; one that has died keeps others from filling as long. */
const leaseMs = 5_000;

/** How many keys a review has under way at once. */
const reviewedAtOnce = 50;

/**
 * Finds the current revision of templates: cache-aside in a store that all processes share, and never by the memory of this one.
 *
 * A reader that misses takes a lease before it reads Postgres, and its fill is refused when the lease is gone. A registration
 * deletes the entry and the lease in one step, after its commit: what was read before it cannot be filled after it. Without
 * a lease nothing is written. No reader waits for another, and none shares its read with another: that would be serving from
 * memory.
 *
 * Whatever the cache holds, the statement that creates a task checks the revision; a mismatch leads to `reread`.
 */
export class TemplateStore {
  readonly #options: TemplateStoreOptions;
  readonly #invalidations: Invalidations | undefined;

  constructor(options: TemplateStoreOptions) {
    this.#options = options;
    const { cache, ttlMs } = options;
    this.#invalidations =
      cache === undefined
        ? undefined
        : new Invalidations({ ...options, cache, expireMs: ttlMs + leaseMs, review: () => this.#review(cache) });
  }

  /** The current revision; null when no such template is registered (which is not cached). */
  async current(template: TemplateName): Promise<CurrentRevision | null> {
    const { cache, database } = this.#options;
    const key = this.#keyOf(template);
    const cached = await this.#find(key);
    if (cached.state === "found") return cached.revision;
    if (cached.state === "missing" && cache !== undefined) return this.#fill(cache, key, cached.knownBornMs, template);
    return readCurrentRevision(database, template);
  }

  /**
   * The same within a caller's transaction, which may see an older Postgres than there is: what it reads is never cached.
   * What is cached may in turn be newer than what the transaction sees; creating a task then fails as it does for old ones.
   */
  async currentWithin(sql: Sql, template: TemplateName): Promise<CurrentRevision | null> {
    const cached = await this.#find(this.#keyOf(template));
    return cached.state === "found" ? cached.revision : readCurrentRevision(sql, template);
  }

  /** Forgets what the cache holds, which was not current, and reads past it: it may not have been possible to forget it. */
  async reread(sql: Sql, template: TemplateName): Promise<CurrentRevision | null> {
    await this.evict(template);
    return readCurrentRevision(sql, template);
  }

  /**
   * Forgets what the cache holds of a template, and whatever is about to be filled. Resolves after one attempt; when redis is
   * away, this process does not read the entry until a later attempt has succeeded. Never rejects.
   */
  async evict(template: TemplateName): Promise<void> {
    await this.#invalidations?.invalidate(this.#keyOf(template));
  }

  /** Compares what the cache holds with Postgres, now and until it has succeeded: this process may have missed notices. */
  async reviewAll(): Promise<void> {
    await this.#invalidations?.reviewAll();
  }

  /** Ends what goes on in the background. */
  stop(): void {
    this.#invalidations?.stop();
  }

  #keyOf({ namespace, name, version }: TemplateName): string {
    return this.#options.keys.template(namespace, name, version);
  }

  /** Counts the request. */
  async #find(key: string): Promise<Cached> {
    const { cache } = this.#options;
    if (cache === undefined || this.#invalidations?.trusts(key) !== true) return this.#uncached("uncached");
    const found = await cache.find(key);
    if (found === "unavailable") return this.#uncached("miss");
    const revision = found === undefined ? null : this.#decode(found.value.toString());
    this.#count(revision === null ? "miss" : "hit");
    return revision === null ? { state: "missing", knownBornMs: found?.bornMs } : { state: "found", revision };
  }

  #uncached(result: "uncached" | "miss"): Cached {
    this.#count(result);
    return { state: "uncached" };
  }

  /** Reads Postgres under a lease if there is one to be had, else for itself. */
  async #fill(
    cache: FleetCache<"templates">,
    key: string,
    knownBornMs: number | undefined,
    template: TemplateName,
  ): Promise<CurrentRevision | null> {
    const { database, ttlMs } = this.#options;
    const token = randomUUID();
    const claim = await cache.claim(key, { token, leaseMs, knownBornMs, maxAgeMs: ttlMs });
    if (claim.state !== "granted") {
      const revision = claim.state === "found" ? this.#decode(claim.found.value.toString()) : null;
      return revision ?? readCurrentRevision(database, template);
    }
    let isFilled = false;
    try {
      const revision = await readCurrentRevision(database, template);
      if (revision !== null) {
        await cache.fill(key, token, { value: encodeRevision(revision), bornMs: claim.nowMs, keepMs: ttlMs });
        isFilled = true;
      }
      return revision;
    } finally {
      if (!isFilled) await cache.release(key, token, 0);
    }
  }

  /** What differs goes, and with it the lease of who may be about to fill it. */
  async #review(cache: FleetCache<"templates">): Promise<boolean> {
    const current = await readCurrentRevisionIds(this.#options.database);
    for (let from = 0; from < current.length; from += reviewedAtOnce) {
      const reviewed = current.slice(from, from + reviewedAtOnce).map(async ({ revisionId, ...template }) => {
        const key = this.#keyOf(template);
        const found = await cache.find(key);
        if (found === "unavailable") return false;
        const isCurrent = found !== undefined && decodeRevision(found.value.toString())?.revisionId === revisionId;
        return isCurrent || cache.invalidate(key);
      });
      if ((await Promise.all(reviewed)).includes(false)) return false;
    }
    return true;
  }

  #decode(text: string): CurrentRevision | null {
    const revision = decodeRevision(text);
    const { cache, metrics } = this.#options;
    if (revision === null && cache !== undefined) metrics.error(cache.providerName, cache.context, "undecodable");
    return revision;
  }

  #count(result: "hit" | "miss" | "uncached"): void {
    const { cache, metrics } = this.#options;
    metrics.request(cache?.providerName ?? "none", "templates", result);
  }
}
