import { CacheStoreError, outages, refusals, type StoreFailure } from "../errors.ts";

const replies: readonly StoreFailure[] = [...outages, ...refusals];

/** What Node calls a certificate that it does not trust, that is not this host's, or that is not valid now. */
const certificateCodes =
  /^(?:ERR_TLS_CERT_|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT$|SELF_SIGNED_CERT_IN_CHAIN$|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF|DECRYPT_CERT))/u;

/** Why a command failed. A reply begins with its reason in capitals; whatever else happens, happens to the connection. */
export function failureOf(error: unknown): StoreFailure {
  if (error instanceof CacheStoreError) return error.reason;
  if (!(error instanceof Error)) return "connection";
  if (error.name !== "ReplyError") {
    return "code" in error && certificateCodes.test(String(error.code)) ? "certificate" : "connection";
  }
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

const ofCluster: readonly StoreFailure[] = ["moved", "ask", "crossslot", "clusterdown"];

/**
 * The keys of a command that was refused because its server is one of a cluster; undefined for any other failure. A PING knows
 * nothing of that: these keys have to be asked for to learn whether it is over.
 */
export function keysRefusedByCluster(error: unknown): readonly string[] | undefined {
  if (!(error instanceof Error) || !ofCluster.includes(failureOf(error))) return undefined;
  const { name, args } = "command" in error ? commandOf(error.command) : noCommand;
  if (name !== "eval") return args.slice(0, 1);
  const [, count, ...rest] = args;
  return rest.slice(0, Number(count));
}

const noCommand = { name: "", args: [] };

/** What the library hangs on the error of a reply. */
function commandOf(command: unknown): { readonly name: string; readonly args: readonly string[] } {
  if (typeof command !== "object" || command === null || !("name" in command) || !("args" in command)) return noCommand;
  return { name: String(command.name), args: Array.isArray(command.args) ? command.args.map(String) : [] };
}
