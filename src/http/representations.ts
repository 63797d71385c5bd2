import { LRUCache } from "lru-cache";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

import { entityTag } from "../cache/envelope.ts";
import type { Answer } from "../cache/read-through.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { AcceptedCodings, type Acceptable, type Coding } from "./codings.ts";

/** An answer in one content coding, as it is sent. */
export interface Representation {
  readonly body: Buffer;
  /** Of these very bytes: no two codings share one. */
  readonly etag: string;
  readonly contentLength: string;
  /** Undefined for the body as it is. */
  readonly coding: Coding | undefined;
}

export type Compressors = Readonly<Record<Coding, (body: Buffer) => Promise<Buffer>>>;

export interface RepresentationsOptions {
  readonly metrics: Pick<Metrics, "httpCompressions">;
  readonly logger: Logger;
  /** Default: zlib's, off the event loop. */
  readonly compressors?: Compressors;
  /** How many bytes of coded bodies are kept. Default 16 MiB. */
  readonly keptBytesMax?: number;
}

/** A body shorter than this is not worth coding: it fits into one packet as it is. */
export const codedBytesMin = 1024;
const keptBytesMaxDefault = 16 * 1024 * 1024;
/** What an entry takes beside its bytes: tags, map, list. */
const entryBytes = 500;

/** Beyond this, brotli takes much more time for few bytes. */
const brotliQuality = 5;
const brotliAsync = promisify(brotliCompress);
const gzipAsync = promisify(gzip);

const zlibCompressors: Compressors = {
  br: (body) =>
    brotliAsync(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
        [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      },
    }),
  gzip: (body) => gzipAsync(body),
};

/**
 * The forms in which answers are sent. An answer is compressed once for each coding, however many ask for it at once, and
 * kept, found again by the tag of its body: equal tags are equal bodies, so that an answer that has not changed when it was
 * computed again need not be compressed again. What was used least recently makes room.
 */
export class Representations {
  readonly #options: RepresentationsOptions;
  readonly #accepted = new AcceptedCodings();
  readonly #identities = new WeakMap<Buffer, Representation>();
  readonly #coded: LRUCache<string, Representation>;
  readonly #underway = new Map<string, Promise<Representation>>();

  constructor(options: RepresentationsOptions) {
    this.#options = options;
    this.#coded = new LRUCache({
      maxSize: options.keptBytesMax ?? keptBytesMaxDefault,
      sizeCalculation: ({ body, coding }) => entryBytes + (coding === undefined ? 0 : body.length),
    });
  }

  /**
   * The answer in the coding that suits the caller best; a promise when it has to be compressed first. Never rejects: an
   * answer that cannot be compressed is sent as it is.
   *
   * @param acceptEncoding the value of `Accept-Encoding`
   */
  of(answer: Answer, acceptEncoding: string | undefined): Representation | Promise<Representation> {
    if (acceptEncoding === undefined) return this.#identity(answer);
    const acceptable: Acceptable = this.#accepted.of(acceptEncoding);
    const coding = answer.body.length < codedBytesMin ? acceptable.small : acceptable.large;
    if (coding === undefined) return this.#identity(answer);
    const key = coding + answer.etag;
    return this.#coded.get(key) ?? this.#underway.get(key) ?? this.#code(key, coding, answer);
  }

  #identity({ body, etag }: Answer): Representation {
    let identity = this.#identities.get(body);
    if (identity === undefined) {
      identity = { body, etag, contentLength: String(body.length), coding: undefined };
      this.#identities.set(body, identity);
    }
    return identity;
  }

  #code(key: string, coding: Coding, answer: Answer): Promise<Representation> {
    const coded = this.#compressed(coding, answer).then((representation) => {
      this.#coded.set(key, representation);
      this.#underway.delete(key);
      return representation;
    });
    this.#underway.set(key, coded);
    return coded;
  }

  /** Never rejects. A failure is kept like a success, so that it costs one try and one line. */
  async #compressed(coding: Coding, answer: Answer): Promise<Representation> {
    const { compressors = zlibCompressors, metrics, logger } = this.#options;
    try {
      const body = await compressors[coding](answer.body);
      metrics.httpCompressions.add(1, { coding, result: "ok" });
      return { body, etag: entityTag(body), contentLength: String(body.length), coding };
    } catch (error) {
      metrics.httpCompressions.add(1, { coding, result: "failed" });
      logger.warn({ err: error, coding, bytes: answer.body.length }, "an answer could not be compressed");
      return this.#identity(answer);
    }
  }
}
