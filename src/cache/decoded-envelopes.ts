import { type Envelope, decodeEnvelope } from "./envelope.ts";

/** Together these bound what is held beside the cache itself to a few megabytes. */
const entriesMax = 32;
const bodyBytesMax = 128 * 1024;

/**
 * The envelopes that were decoded last, so that every hit on a hot key sends the very same bytes: no header to parse, no
 * text to encode. It is no cache: a caller brings what the cache holds, and gets the decoded form of just that.
 */
export class DecodedEnvelopes {
  readonly #entries = new Map<string, { readonly encoded: string; readonly envelope: Envelope }>();

  /** Undefined when `encoded` is no envelope. */
  decode(key: string, encoded: string): Envelope | undefined {
    const known = this.#entries.get(key);
    // The memory cache hands out the string it was given, for which this looks at no character.
    if (known?.encoded === encoded) return known.envelope;
    const envelope = decodeEnvelope(encoded);
    if (envelope !== undefined) this.remember(key, encoded, envelope);
    return envelope;
  }

  remember(key: string, encoded: string, envelope: Envelope): void {
    this.#entries.delete(key);
    if (envelope.body.length > bodyBytesMax) return;
    this.#entries.set(key, { encoded, envelope });
    if (this.#entries.size <= entriesMax) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
