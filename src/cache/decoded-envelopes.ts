import { type Envelope, decodeEnvelope } from "./envelope.ts";

/** Together these bound what is held beside the cache itself: a few megabytes. */
const entriesMax = 256;
const bodyBytesMax = 128 * 1024;
const bytesMax = 32 * bodyBytesMax;

interface Entry {
  readonly encoded: string;
  readonly envelope: Envelope;
}

/**
 * The envelopes that were used last, so that every hit on a hot key sends the very same bytes: no header to parse, no
 * text to encode. It is no cache: a caller brings what the cache holds, and gets the decoded form of just that.
 */
export class DecodedEnvelopes {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** The key that was used last, which need not be moved. */
  #newest: string | undefined;

  /** Undefined when `encoded` is no envelope. */
  decode(key: string, encoded: string): Envelope | undefined {
    const known = this.#entries.get(key);
    // The memory cache hands out the string it was given, for which this looks at no character.
    if (known?.encoded === encoded) {
      this.#use(key, known);
      return known.envelope;
    }
    const envelope = decodeEnvelope(encoded);
    if (envelope !== undefined) this.remember(key, encoded, envelope);
    return envelope;
  }

  remember(key: string, encoded: string, envelope: Envelope): void {
    this.#forget(key);
    if (envelope.body.length > bodyBytesMax) return;
    this.#entries.set(key, { encoded, envelope });
    this.#newest = key;
    this.#bytes += envelope.body.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) return;
      this.#forget(oldest);
    }
  }

  /** The map's order is that of use. */
  #use(key: string, entry: Entry): void {
    if (key === this.#newest) return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#newest = key;
  }

  #forget(key: string): void {
    const known = this.#entries.get(key);
    if (known === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= known.envelope.body.length;
  }
}
