import type { CacheHealth, Claim, ClaimRequest, Fill, Kept, SharedCacheProvider } from "../../src/cache/contract.ts";

export type SharedOperation = "find" | "claim" | "renew" | "fill" | "invalidate" | "release";

/** Stands around each operation: may wait before it or after it, do it later, or fail. */
export type Around = <Result>(operation: SharedOperation, run: () => Promise<Result>) => Promise<Result>;

/** A real shared store between whose operations a test can step. */
export class WatchedCache implements SharedCacheProvider {
  readonly reach = "shared";
  readonly name: string;
  around: Around = (_operation, run) => run();
  readonly #inner: SharedCacheProvider;

  constructor(inner: SharedCacheProvider) {
    this.#inner = inner;
    this.name = inner.name;
  }

  find(key: string): Promise<Kept | undefined> {
    return this.around("find", () => this.#inner.find(key));
  }

  claim(key: string, request: ClaimRequest): Promise<Claim> {
    return this.around("claim", () => this.#inner.claim(key, request));
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.around("renew", () => this.#inner.renew(key, token, leaseMs));
  }

  fill(key: string, token: string, fill: Fill): Promise<boolean> {
    return this.around("fill", () => this.#inner.fill(key, token, fill));
  }

  invalidate(key: string): Promise<void> {
    return this.around("invalidate", () => this.#inner.invalidate(key));
  }

  release(key: string, token: string, pauseMs: number): Promise<void> {
    return this.around("release", () => this.#inner.release(key, token, pauseMs));
  }

  get(key: string): Promise<string | undefined> {
    return this.#inner.get(key);
  }

  set(key: string, value: string, ttlMs: number): Promise<void> {
    return this.#inner.set(key, value, ttlMs);
  }

  delete(key: string): Promise<void> {
    return this.#inner.delete(key);
  }

  deletePattern(pattern: string): Promise<number> {
    return this.#inner.deletePattern(pattern);
  }

  healthCheck(): Promise<CacheHealth> {
    return this.#inner.healthCheck();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
