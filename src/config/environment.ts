import { didYouMean } from "./did-you-mean.ts";
import type { Given } from "./given.ts";
import { canonicalPaths, environmentName } from "./schema.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. The only place that reads it. */
export function environment(): Environment {
  return Object.freeze({ ...process.env });
}

const prefix = "TASKER_";

/** Variables of ours that are no keys: they choose the files, or belong to the tests. */
const otherVariables = ["TASKER_ENV", "TASKER_CONFIG"];
const testPrefix = "TASKER_TEST_";

/** Variables without our prefix: other tools read them too, or they stand beside one that others read. */
const commonVariables = [
  ["DATABASE_URL", "database.url"],
  ["ANALYTICS_REPLICA_URL", "database.analytics_replica_url"],
  ["REDIS_URL", "common.cache.redis.url"],
] as const;

/** Whether somebody has provided a redis for this process, without saying so in our own configuration. */
export function providesRedis(env: Environment): boolean {
  return (env["REDIS_URL"] ?? "") !== "";
}

const pathsByVariable: ReadonlyMap<string, string> = new Map(
  [...canonicalPaths.keys()].map((path) => [environmentName(path), path]),
);

/** The keys that environment variables give. A variable that begins with TASKER_ and is no key is a problem. */
export function readEnvironment(env: Environment, problems: string[]): Given[] {
  const given: Given[] = [];
  // First, so that the variable of our own name wins over the one that every tool reads. Empty is as good as unset.
  for (const [name, path] of commonVariables) {
    const value = env[name];
    if (value !== undefined && value !== "") {
      given.push({ path, value, isText: true, origin: `environment variable ${name}` });
    }
  }
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined) continue;
    if (otherVariables.includes(name) || name.startsWith(testPrefix)) continue;
    const path = pathsByVariable.get(name);
    if (path === undefined) problems.push(unknownVariable(name));
    else given.push({ path, value, isText: true, origin: `environment variable ${name}` });
  }
  return given;
}

function unknownVariable(name: string): string {
  // Without the prefix that all share: it would make every name look like every other.
  const known = [...pathsByVariable.keys(), ...otherVariables].map((variable) => variable.slice(prefix.length));
  const meant = didYouMean(name.slice(prefix.length), known);
  const mend =
    meant === undefined ? "see config/tasker.toml for the keys there are" : `did you mean ${prefix}${meant}?`;
  return `environment variable ${name} sets no key of the configuration; ${mend}`;
}
