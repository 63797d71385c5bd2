import { isIPv4, isIPv6 } from "node:net";

/** Host headers that were accepted are remembered, so many at most: reading one costs as much as the rest of the check. */
const rememberedMax = 100;

const hostHeader = /^(\[[0-9a-f:.]+\]|[^\s/?#@\\:[\]]+)(?::(\d{1,5}))?$/u;

export interface AddresseesOptions {
  readonly host: string;
  readonly allowedHosts: readonly string[];
}

/**
 * Tells requests that were meant for this server from those that a web page made a browser send.
 *
 * A page may point a name of its own at 127.0.0.1 (DNS rebinding): its requests then carry that name in `Host`. Other
 * cross-site requests carry the page's `Origin`.
 */
export class Addressees {
  readonly #names: ReadonlySet<string>;
  readonly #isAnyAddress: boolean;
  readonly #remembered = new Set<string>();

  constructor({ host, allowedHosts }: AddresseesOptions) {
    this.#names = new Set([host, ...allowedHosts].map(normalized));
    // The host is every address of the machine; an address, unlike a name, cannot be rebound.
    this.#isAnyAddress = ["0.0.0.0", "[::]"].includes(normalized(host));
  }

  /** Whether the `Host` header names this server: by a loopback name, the configured host or an allowed one. */
  accepts(host: string | undefined): host is string {
    if (host === undefined) return false;
    if (this.#remembered.has(host)) return true;
    const [, name = "", port] = hostHeader.exec(host.toLowerCase()) ?? [];
    const plain = name.replace(/\.$/u, "");
    const isKnown =
      isLoopbackName(plain) ||
      this.#names.has(plain) ||
      this.#names.has(`${plain}:${port}`) ||
      (this.#isAnyAddress && isAddress(plain));
    if (isKnown && this.#remembered.size < rememberedMax) this.#remembered.add(host);
    return isKnown;
  }
}

/** Whether an `Origin` header names the very host that was asked. A proxy may speak https to the browser and http to us. */
export function isSameOrigin(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { protocol, host: originHost } = new URL(origin);
  if (protocol !== "http:" && protocol !== "https:") return false;
  const asked = `${protocol}//${host}`;
  return URL.canParse(asked) && new URL(asked).host === originHost;
}

/** Whether a host to listen on can be reached from this machine only. */
export function isLoopbackHost(host: string): boolean {
  const name = normalized(host);
  return name === "localhost" || isLoopbackAddress(name);
}

function isLoopbackName(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost") || isLoopbackAddress(name);
}

function isLoopbackAddress(name: string): boolean {
  return name === "[::1]" || (isIPv4(name) && name.startsWith("127."));
}

function isAddress(name: string): boolean {
  return isIPv4(name) || (name.startsWith("[") && isIPv6(name.slice(1, -1)));
}

/** As it stands in a `Host` header: IPv6 in brackets and in its shortest form. */
function normalized(host: string): string {
  const lower = host.toLowerCase();
  return isIPv6(lower) ? new URL(`http://[${lower}]`).hostname : lower;
}
