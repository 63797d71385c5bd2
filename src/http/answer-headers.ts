import type { Answer } from "../cache/read-through.ts";

type AnswerHeader = "content-type" | "etag" | "age" | "cache-control" | "cache-status" | "vary";

/** Once there are keys, an answer is its asker's; types and encodings differ in their bytes. */
const vary = "Accept, Accept-Encoding, Authorization, X-API-Key";

/** The headers that say what a cached answer is: how old, how long it holds, where it came from. */
export function answerHeaders(answer: Answer): Record<AnswerHeader, string> {
  return {
    "content-type": "application/json; charset=utf-8",
    etag: answer.etag,
    age: String(wholeSeconds(answer.ageMs)),
    "cache-control": cacheControl(answer),
    "cache-status": cacheStatus(answer),
    vary,
  };
}

/** The whole time to live: what is left of it is max-age minus Age (RFC 9111, section 4.2). */
function cacheControl({ ttlMs, staleWhileRevalidateMs, staleIfErrorMs }: Answer): string {
  if (ttlMs === 0) return "no-store";
  const further = [
    staleWhileRevalidateMs > 0 ? `, stale-while-revalidate=${wholeSeconds(staleWhileRevalidateMs)}` : "",
    staleIfErrorMs > 0 ? `, stale-if-error=${wholeSeconds(staleIfErrorMs)}` : "",
  ];
  return `private, max-age=${wholeSeconds(ttlMs)}${further.join("")}`;
}

/** RFC 9211. Who joined another's computation was collapsed; what is neither looked up nor kept goes around the cache. */
const cacheStatuses = {
  hit: "tasker; hit",
  stale: "tasker; hit",
  miss: "tasker; fwd=uri-miss; stored",
  coalesced: "tasker; fwd=uri-miss; collapsed",
  uncached: "tasker; fwd=bypass",
} as const satisfies Record<Answer["status"], string>;

/** With what is left of the time to live, if the answer is kept: below 0 it is stale. */
function cacheStatus({ status, ttlMs, ageMs, staleIfError }: Answer): string {
  const how = cacheStatuses[status];
  if (ttlMs === 0) return how;
  return `${how}; ttl=${wholeSeconds(ttlMs - ageMs)}${staleIfError ? "; detail=STALE_IF_ERROR" : ""}`;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/**
 * Whether an `If-None-Match` field matches the current entity tag, compared weakly (RFC 9110, section 13.1.2):
 * `*`, or a list with this tag in it.
 */
export function matchesTag(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === etag || ifNoneMatch.trim() === "*") return true;
  // Our tags hold no comma: a tag of another server that does is cut into pieces that match nothing.
  return ifNoneMatch.split(",").some((tag) => tag.trim().replace(/^W\//u, "") === etag);
}
