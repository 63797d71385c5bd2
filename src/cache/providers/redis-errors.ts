import { CacheStoreError, outages, refusals, type StoreFailure } from "../errors.ts";

const replies: readonly StoreFailure[] = [...outages, ...refusals];

/** Why a command failed. A reply begins with its reason in capitals; whatever else happens, happens to the connection. */
export function failureOf(error: unknown): StoreFailure {
  if (error instanceof CacheStoreError) return error.reason;
  if (!(error instanceof Error) || error.name !== "ReplyError") return "connection";
  // A script passes on what a command replied, at the beginning or, in older servers, further behind.
  const words = (error.message.match(/\b[A-Z]{3,}\b/gu) ?? []).map((word) => word.toLowerCase());
  return replies.find((reply) => words.includes(reply)) ?? "error_reply";
}

/** An error to pass on: the library hangs the command on its own, and that has passwords and whole values. */
export function storeError(error: unknown): CacheStoreError {
  if (error instanceof CacheStoreError) return error;
  const what = error instanceof Error ? error.message : "unknown";
  return new CacheStoreError(failureOf(error), `Redis: ${what.slice(0, 200)}`);
}
