import { LOG_LEVELS } from "../runtime/logging.ts";
import { choice, decimal, Field, flag, integer, text, texts } from "./field.ts";

const second = 1000;
const hour = 3600 * second;
const day = 24 * hour;
const yearSeconds = 365 * 24 * 3600;

/**
 * Every section and key there is, in the order of `config/tasker.toml`, which explains each of them.
 * Nothing else is accepted, and nothing stands here that no code reads.
 */
export const schema = {
  database: {
    url: text("", {
      expected: 'a connection URL "postgres://user:password@host:5432/database", or "" for the embedded server',
      pattern: /^$|^postgres(ql)?:\/\//u,
      secret: true,
    }),
    direct_url: text("", {
      expected: 'a connection URL "postgres://user:password@host:5432/database", or "" for the same as url',
      pattern: /^$|^postgres(ql)?:\/\//u,
      secret: true,
    }),
    transaction_pooling: flag(false),
    prepared_statements: flag(true),
    max_connections: integer(10, { min: 1, max: 1000 }),
    connect_timeout_ms: integer(5000, { min: 100, max: 10 * 60 * second }),
    idle_in_transaction_timeout_ms: integer(60_000, { min: 1000, max: day }),
    analytics_max_connections: integer(2, { min: 1, max: 1000 }),
    analytics_statement_timeout_ms: integer(10_000, { min: 100, max: hour }),
    analytics_replica_url: text("", {
      expected: 'a connection URL "postgres://user:password@host:5432/database", or "" for none',
      pattern: /^$|^postgres(ql)?:\/\//u,
      secret: true,
    }),
    analytics_replica_max_lag_seconds: integer(30, { min: 1, max: 3600 }),
  },
  http: {
    host: text("127.0.0.1", { expected: "a host name or an address to listen on", pattern: /^[^\s/@]{1,253}$/u }),
    port: integer(8080, { min: 0, max: 65_535 }),
    body_limit_bytes: integer(1_048_576, { min: 1024, max: 1024 * 1024 * 1024 }),
    request_timeout_ms: integer(30_000, { min: 100, max: hour }),
    allowed_hosts: texts({
      expected: 'a list of at most 100 host names, like ["tasker.example.com"]',
      pattern: /^[^\s/@,]{1,253}$/u,
      itemsMax: 100,
    }),
    allow_unauthenticated: flag(false),
    shutdown_timeout_ms: integer(10_000, { min: 0, max: hour }),
  },
  worker: {
    concurrency: integer(20, { min: 1, max: 1000 }),
    lease_ms: integer(30_000, { min: 1000, max: day }),
    lease_renew_ms: integer(10_000, { min: 100, max: day }),
    poll_interval_ms: integer(1000, { min: 10, max: hour }),
    completion_batch: integer(100, { min: 1, max: 10_000 }),
    heartbeat_interval_ms: integer(1000, { min: 10, max: hour }),
    shutdown_timeout_ms: integer(20_000, { min: 0, max: day }),
  },
  engine: {
    namespace_limits: texts({
      expected: 'a list of at most 1000 namespaces, each with its limit from 0 to 999999, like ["shop=10"]',
      pattern: /^[a-z][a-z0-9_-]{0,62}=\d{1,6}$/u,
      itemsMax: 1000,
    }),
  },
  maintenance: {
    fold_interval_ms: integer(1000, { min: 10, max: hour }),
    fold_batch_rows: integer(50_000, { min: 1, max: 10_000_000 }),
    rescue_interval_ms: integer(1000, { min: 10, max: hour }),
    partitions_interval_ms: integer(hour, { min: 1000, max: day }),
    // Windows told by the minute, up to 48 hours, are read from the facts.
    facts_retention_days: integer(14, { min: 2, max: 3650 }),
    // "Slower than usual" reads eight days of hours, a time series of hours three weeks.
    hours_retention_days: integer(400, { min: 30, max: 3650 }),
    tasks_retention_days: integer(30, { min: 0, max: 3650 }),
    transitions_retention_days: integer(30, { min: 1, max: 3650 }),
    retention_interval_ms: integer(60_000, { min: 10, max: day }),
    leader_lease_ms: integer(5000, { min: 100, max: hour }),
  },
  embedded: {
    data_dir: text("./.tasker", { expected: "the path of a folder", pattern: /^[^\0]{1,4096}$/u }),
  },
  analytics: {
    error_rate_threshold: decimal(0.2, { min: 0, max: 1 }),
    pool_utilization_threshold: decimal(0.8, { min: 0, max: 1 }),
    slow_step_seconds: decimal(30, { min: 0, max: yearSeconds }),
  },
  logging: {
    level: choice("info", LOG_LEVELS),
  },
  common: {
    cache: {
      enabled: flag(true),
      // Any text loads: an unknown backend disables caching with a warning (cache-backend.ts), it does not stop the process.
      backend: text("", { expected: "the name of a cache backend (redis or memory)", pattern: /^[^\0]{0,100}$/u }),
      default_ttl_seconds: integer(3600, { min: 1, max: yearSeconds }),
      template_ttl_seconds: integer(3600, { min: 1, max: yearSeconds }),
      analytics_ttl_seconds: integer(60, { min: 1, max: yearSeconds }),
      stale_while_revalidate_seconds: integer(30, { min: 0, max: yearSeconds }),
      stale_if_error_seconds: integer(3600, { min: 0, max: yearSeconds }),
      key_prefix: text("tasker", {
        expected: "1 to 64 letters, digits and the signs _ . : -",
        pattern: /^[\w.:-]{1,64}$/u,
      }),
      warm_start: flag(true),
      redis: {
        url: text("redis://localhost:6379", {
          expected: 'a connection URL "redis://host:6379" or, with TLS, "rediss://host:6379"',
          pattern: /^rediss?:\/\//u,
          secret: true,
        }),
        max_connections: integer(10, { min: 1, max: 1000 }),
        connection_timeout_seconds: integer(5, { min: 1, max: 600 }),
        database: integer(0, { min: 0, max: 65_535 }),
        command_budget_ms: integer(25, { min: 1, max: 10_000 }),
      },
      memory: {
        max_capacity: integer(10_000, { min: 1, max: 100_000_000 }),
        max_bytes: integer(67_108_864, { min: 1024, max: 1024 ** 4 }),
      },
    },
  },
} as const;

type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;

type ValueOf<Node> =
  Node extends Field<infer Value> ? Value : { readonly [Key in keyof Node & string as Camel<Key>]: ValueOf<Node[Key]> };

type PathOf<Node, Prefix extends string = ""> = {
  [Key in keyof Node & string]: Node[Key] extends Field<unknown>
    ? `${Prefix}${Key}`
    : PathOf<Node[Key], `${Prefix}${Key}.`>;
}[keyof Node & string];

/** The configuration of a process: the shape of the file with names in camel case, deeply frozen. */
export type Config = ValueOf<typeof schema>;

/** A key with its section, as in `http.port`. */
export type ConfigPath = PathOf<typeof schema>;

/** Sections that may also be written under another name (the requirement calls the in-memory cache `moka`). */
const sectionAliases: ReadonlyMap<string, string> = new Map([["common.cache.moka", "common.cache.memory"]]);

/** Every key by its path, in the order of the schema. */
export const fields: ReadonlyMap<string, Field<unknown>> = new Map(fieldsOf(schema, ""));

/** Every path that may be written, aliases included, with the path whose value it gives. */
export const canonicalPaths: ReadonlyMap<string, string> = new Map(
  [...fields.keys()].flatMap((path) => {
    const aliases = [...sectionAliases].filter(([, section]) => path.startsWith(`${section}.`));
    return [[path, path], ...aliases.map(([alias, section]) => [alias + path.slice(section.length), path] as const)];
  }),
);

/** The environment variable that sets a key: `http.port` is `TASKER_HTTP_PORT`. */
export function environmentName(path: string): string {
  return `TASKER_${path.replaceAll(".", "_").toUpperCase()}`;
}

/** Makes the typed value from one value for each path. */
export function composeConfig(valueAt: (path: string) => unknown): Config {
  // The type is derived from the schema that is walked here, and each value was accepted by its field.
  return compose(schema, "", valueAt) as Config;
}

interface Section {
  readonly [key: string]: Field<unknown> | Section;
}

function fieldsOf(section: Section, prefix: string): (readonly [string, Field<unknown>])[] {
  return Object.entries(section).flatMap(([key, node]) =>
    node instanceof Field ? [[prefix + key, node] as const] : fieldsOf(node, `${prefix}${key}.`),
  );
}

function compose(section: Section, prefix: string, valueAt: (path: string) => unknown): object {
  const entries = Object.entries(section).map(([key, node]): [string, unknown] => [
    key.replaceAll(/_([a-z])/gu, (_, letter: string) => letter.toUpperCase()),
    node instanceof Field ? frozen(valueAt(prefix + key)) : compose(node, `${prefix}${key}.`, valueAt),
  ]);
  return Object.freeze(Object.fromEntries(entries));
}

function frozen(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze(value.slice()) : value;
}
