import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { redactUrl } from "../runtime/logging.ts";
import { ConfigError } from "./config-error.ts";
import { didYouMean } from "./did-you-mean.ts";
import { providesRedis, readEnvironment, type Environment } from "./environment.ts";
import type { Given } from "./given.ts";
import { canonicalPaths, composeConfig, fields, type Config, type ConfigPath } from "./schema.ts";
import { readTomlFile } from "./toml-file.ts";

/** A flag's value: of the key's type, or a text that stands for it. Undefined is a flag that was not given. */
export type Override = string | number | boolean | readonly string[] | undefined;

export interface LoadOptions {
  /** The base file. Default: what TASKER_CONFIG names; without one, the built-in defaults hold. */
  readonly file?: string;
  /** Usually `environment()`. */
  readonly env: Environment;
  /** Flags of the command line, by path: `{ "http.port": 9000 }`. */
  readonly overrides?: Readonly<Partial<Record<ConfigPath, Override>>>;
  /** What a command takes for a key that nobody sets, instead of the built-in default. */
  readonly defaults?: Readonly<Partial<Record<ConfigPath, Override>>>;
}

/** The configuration, and where each of its values comes from. */
export interface SourcedConfig {
  readonly config: Config;
  /** By path, in words: `default`, a file's path, `environment variable …`, `command line`. */
  readonly sources: ReadonlyMap<string, string>;
}

/** A value and where it comes from. */
interface Sourced {
  readonly value: unknown;
  readonly source: string;
}

const defaultSource = "default";

/**
 * Reads the configuration, once, into a frozen value.
 *
 * The later wins: built-in defaults, those of the caller, the file, the overlay `<TASKER_ENV>.toml` beside it, the environment,
 * the overrides.
 *
 * @throws {ConfigError} with all problems at once.
 */
export function loadConfig(options: LoadOptions): Config {
  return loadSourcedConfig(options).config;
}

/**
 * As {@link loadConfig}, and tells the source of each value.
 *
 * @throws {ConfigError} with all problems at once.
 */
export function loadSourcedConfig(options: LoadOptions): SourcedConfig {
  const { env, overrides = {}, defaults = {} } = options;
  const problems: string[] = [];
  const layers = [
    ofProgram(defaults, defaultSource),
    ...filesOf(options, problems).map((file) => readTomlFile(file, env, problems)),
    readEnvironment(env, problems),
    ofProgram(overrides, "command line"),
  ];
  const values = new Map<string, Sourced>();
  for (const layer of layers) applyLayer(layer, values, problems);
  applyConsequences(values, env);
  const config = composeConfig((path) => values.get(path)?.value ?? fields.get(path)?.default);
  problems.push(...contradictions(config));
  if (problems.length > 0) throw new ConfigError(problems);
  const sources = [...fields.keys()].map((path) => [path, values.get(path)?.source ?? defaultSource] as const);
  return { config, sources: new Map(sources) };
}

/** What one setting means for a key that was left out. */
function applyConsequences(values: Map<string, Sourced>, env: Environment): void {
  if (!isNamed(values.get("common.cache.backend")?.value) && providesRedis(env)) {
    values.set("common.cache.backend", { value: "redis", source: "environment variable REDIS_URL" });
  }
  const ttl = values.get("common.cache.default_ttl_seconds");
  if (ttl !== undefined && !values.has("common.cache.template_ttl_seconds")) {
    const source = `common.cache.default_ttl_seconds, ${ttl.source}`;
    values.set("common.cache.template_ttl_seconds", { value: ttl.value, source });
  }
}

function isNamed(backend: unknown): boolean {
  return typeof backend === "string" && backend.trim() !== "";
}

function filesOf({ file, env }: LoadOptions, problems: string[]): string[] {
  const base = file ?? env["TASKER_CONFIG"];
  if (base === undefined || base === "") return [];
  const name = env["TASKER_ENV"];
  if (name === undefined || name === "") return [base];
  if (!/^[\w-]+$/u.test(name)) {
    problems.push("TASKER_ENV names the file <TASKER_ENV>.toml; it may hold letters, digits, _ and - only");
    return [base];
  }
  const overlay = join(dirname(base), `${name}.toml`);
  if (existsSync(overlay)) return [base, overlay];
  // An environment without an overlay is fine. One that misses its overlay by a letter is not.
  const meant = didYouMean(name, overlaysBeside(base));
  if (meant !== undefined) problems.push(`TASKER_ENV is ${name}, but ${overlay} is not there; did you mean ${meant}?`);
  return [base];
}

function overlaysBeside(base: string): string[] {
  const folder = dirname(base);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => (name.endsWith(".toml") ? [name.slice(0, -".toml".length)] : []));
}

/** Values that the program itself gives. */
function ofProgram(values: Readonly<Record<string, Override>>, origin: string): Given[] {
  return Object.entries(values).map(([path, value]) => ({ path, value, isText: typeof value === "string", origin }));
}

/** Puts one source's values over those of the sources before it. */
function applyLayer(layer: readonly Given[], values: Map<string, Sourced>, problems: string[]): void {
  const firsts = new Map<string, { readonly given: Given; readonly value: unknown }>();
  for (const given of layer) {
    if (given.value === undefined) continue;
    const path = canonicalPaths.get(given.path);
    const field = path === undefined ? undefined : fields.get(path);
    if (path === undefined || field === undefined) {
      problems.push(`${given.origin}: unknown key ${given.path}${suggestion(given.path)}`);
      continue;
    }
    const value =
      typeof given.value === "string" && given.isText ? field.acceptText(given.value) : field.accept(given.value);
    if (value === undefined) {
      problems.push(wrongValue(given, field));
      continue;
    }
    const first = firsts.get(path);
    if (first !== undefined && first.given.path !== given.path && !isDeepStrictEqual(first.value, value)) {
      problems.push(
        `${given.path} and ${first.given.path} (${given.origin}) are two names of one key and differ; remove one`,
      );
    }
    firsts.set(path, { given, value });
    values.set(path, { value, source: given.origin });
  }
}

function suggestion(path: string): string {
  const meant = didYouMean(path, canonicalPaths.keys());
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

function wrongValue(
  given: Given,
  field: { readonly expected: string; readonly secret: boolean; readonly default: unknown },
): string {
  const got = field.secret
    ? "something else (not shown, it may hold a secret)"
    : (given.shown ?? describe(given.value));
  const mend =
    typeof given.value === "string" && !given.isText && typeof field.default !== "string"
      ? "write the value without quotes"
      : `correct it, or remove it for the default ${JSON.stringify(field.default)}`;
  return `${given.path} (${given.origin}): expected ${field.expected}, got ${got}; ${mend}`;
}

const shownCharactersMax = 80;

function describe(value: unknown): string {
  const shown = redactUrl(JSON.stringify(value) ?? String(value));
  return shown.length > shownCharactersMax ? `${shown.slice(0, shownCharactersMax)}…` : shown;
}

/** What is right key by key and wrong together. */
function contradictions({ worker, database, maintenance }: Config): string[] {
  const problems: string[] = [];
  // One renewal may come late or fail without the lease being lost.
  if (worker.leaseRenewMs * 2 > worker.leaseMs) {
    problems.push(
      `worker.lease_renew_ms (${worker.leaseRenewMs}) must be at most half of worker.lease_ms (${worker.leaseMs}); ` +
        "a lease must survive one missed renewal",
    );
  }
  if (database.transactionPooling && (database.url === "" || database.directUrl === "")) {
    problems.push(
      "database.transaction_pooling needs database.url, which leads through the pooler, and database.direct_url, which does not: " +
        "notifications cannot be listened for through it",
    );
  } else if (database.directUrl !== "" && database.url === "") {
    problems.push("database.direct_url needs database.url; the embedded server has one way to it");
  }
  if (database.analyticsReplicaUrl === "") return problems;
  if (database.url === "") {
    problems.push("database.analytics_replica_url needs database.url; the embedded server has no replica");
  }
  // The fold is the heart that beats: between two of its runs the replica seems to lag by that time.
  if (database.analyticsReplicaMaxLagSeconds * 1000 < maintenance.foldIntervalMs * 2) {
    problems.push(
      `database.analytics_replica_max_lag_seconds (${database.analyticsReplicaMaxLagSeconds}) must be at least twice ` +
        `maintenance.fold_interval_ms (${maintenance.foldIntervalMs}); lag is measured by what each fold writes`,
    );
  }
  return problems;
}
