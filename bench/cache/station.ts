/** A process that measures one contender, or one way to read a redis, as its parent asks. */
import { hitContenders } from "./contenders.ts";
import { hits, misses, warm } from "./measure.ts";
import type { Request } from "./protocol.ts";
import { openReader, reads } from "./redis-readers.ts";

const [name = "", url = ""] = process.argv.slice(2);
const contender = hitContenders.find((one) => one.name === name);
const ask = contender === undefined ? undefined : await warm(contender);
const reader = url === "" ? undefined : await openReader(name, url);

process.on("message", (request: Request) => void answer(request));
process.send?.("ready");

async function answer(request: Request): Promise<void> {
  process.send?.(await resultOf(request));
}

async function resultOf(request: Request): Promise<object> {
  if (request.do === "hits" && ask !== undefined) return hits(ask, request.keys, request.cpuMs);
  if (request.do === "misses" && contender !== undefined) return misses(contender, request.callers, request.fails);
  if (request.do === "reads" && reader !== undefined) return reads(reader, request.inFlight, request.cpuMs);
  throw new Error(`${name} cannot do ${request.do}`);
}
