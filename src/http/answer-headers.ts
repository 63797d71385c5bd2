import type { Answer } from "../cache/read-through.ts";

/**
 * The whole time to live: what is left of it is max-age minus Age (RFC 9111, section 4.2). The other two count from its end
 * (RFC 5861, sections 3 and 4), while `staleIfErrorMs` is an age.
 */
export function cacheControl({ ttlMs, staleWhileRevalidateMs, staleIfErrorMs }: Answer): string {
  if (ttlMs === 0) return "no-store";
  const staleMs = staleIfErrorMs - ttlMs;
  const further = [
    staleWhileRevalidateMs > 0 ? `, stale-while-revalidate=${wholeSeconds(staleWhileRevalidateMs)}` : "",
    staleMs > 0 ? `, stale-if-error=${wholeSeconds(staleMs)}` : "",
  ];
  return `private, max-age=${wholeSeconds(ttlMs)}${further.join("")}`;
}

/**
 * How the answer came about, and what is left of its time to live (RFC 9211): below 0 it is stale. `detail` says who had it,
 * or why a stale one was good enough. An answer that is kept nowhere has no time to live.
 */
export function cacheStatus(answer: Answer): string {
  const { forwarded, stored, status, ttlMs, ageMs } = answer;
  const how =
    forwarded === undefined
      ? "tasker; hit"
      : `tasker; fwd=${forwarded}${stored ? "; stored" : ""}${status === "coalesced" ? "; collapsed" : ""}`;
  if (ttlMs === 0) return how;
  const detail = detailOf(answer);
  return `${how}; ttl=${wholeSeconds(ttlMs - ageMs)}${detail === undefined ? "" : `; detail=${detail}`}`;
}

function detailOf({ staleIfError, status, provider }: Answer): string | undefined {
  if (staleIfError) return "stale-if-error";
  return status === "stale" ? "stale-while-revalidate" : provider;
}

export function wholeSeconds(ms: number): number {
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
