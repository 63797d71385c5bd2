import { LRUCache } from "lru-cache";
import Negotiator from "negotiator";

/** The content codings that answers are sent in, in the order in which they are chosen when a caller likes several as well. */
export const codings = ["br", "gzip"] as const;
export type Coding = (typeof codings)[number];

/** What a caller takes best, for a body that is worth coding and for one that is not; undefined is the body as it is. */
export interface Acceptable {
  readonly large: Coding | undefined;
  readonly small: Coding | undefined;
}

/**
 * Header fields that are remembered, and the longest of them: there are few kinds of clients, but strangers may send anything. What
 * they send pushes out what nobody has sent for longer, and never what is in use.
 */
const rememberedMax = 200;
const charactersMax = 200;

/** As the library has it; its types do not tell of the second argument yet. */
type Encodings = (available: readonly string[], options: { readonly preferred: readonly string[] }) => string[];

/**
 * Reads `Accept-Encoding` (RFC 9110, section 12.5.3). Without the field, or with an empty one, a body is sent as it is; so it
 * is when nothing that the caller takes can be sent, which the RFC leaves to the server.
 */
export class AcceptedCodings {
  readonly #remembered = new LRUCache<string, Acceptable>({ max: rememberedMax });

  /** @param field the value of `Accept-Encoding` */
  of(field: string): Acceptable {
    const known = this.#remembered.get(field);
    if (known !== undefined) return known;
    const acceptable = negotiated(field);
    if (field.length <= charactersMax) this.#remembered.set(field, acceptable);
    return acceptable;
  }
}

function negotiated(field: string): Acceptable {
  const negotiator = new Negotiator({ headers: { "accept-encoding": field } });
  const encodings: Encodings = negotiator.encodings.bind(negotiator);
  const liked = encodings([...codings, "identity"], { preferred: codings });
  const best = codings.find((coding) => coding === liked[0]);
  return { large: best, small: liked.includes("identity") ? undefined : best };
}
