import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

import type { HttpServer } from "../../src/http/server.ts";

export interface Asked {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  /** The bytes as they came. */
  readonly body: Buffer;
}

/** Asks a server that listens through a socket, and sends no header but those given. */
export function ask(
  server: HttpServer,
  path: string,
  { method = "GET", headers = {} }: { readonly method?: string; readonly headers?: OutgoingHttpHeaders } = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const asking = request(`${server.address}${path}`, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    asking.on("error", reject).end();
  });
}

/** The body without its content coding. */
export function decoded({ headers, body }: Asked): Buffer {
  const coding = headers["content-encoding"];
  if (coding === undefined) return body;
  if (coding === "br") return brotliDecompressSync(body);
  if (coding === "gzip") return gunzipSync(body);
  throw new Error(`nobody asked for ${coding}`);
}
