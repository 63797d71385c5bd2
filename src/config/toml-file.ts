import { readFileSync } from "node:fs";

import { parse, TomlError } from "smol-toml";

import { didYouMean } from "./did-you-mean.ts";
import type { Environment } from "./environment.ts";
import type { Given } from "./given.ts";
import { interpolate } from "./interpolate.ts";
import { canonicalPaths } from "./schema.ts";

/** Every section, aliases and parents included. */
const sections: ReadonlySet<string> = new Set(
  [...canonicalPaths.keys()].flatMap((path) => {
    const names = path.split(".").slice(0, -1);
    return names.map((_, index) => names.slice(0, index + 1).join("."));
  }),
);

/** The keys that a file gives. What cannot be read, or is no key, is a problem. */
export function readTomlFile(file: string, env: Environment, problems: string[]): Given[] {
  let source: string;
  try {
    source = readFileSync(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    problems.push(`the configuration file ${file} cannot be read (${reason}); check its path and permissions`);
    return [];
  }
  return readToml(source, file, env, problems);
}

/** As {@link readTomlFile}, from the text itself; `origin` names it in messages. */
export function readToml(source: string, origin: string, env: Environment, problems: string[]): Given[] {
  try {
    return readSection({ table: parse(source), section: "", origin, env, problems });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Only the first line: the others quote the file, which may hold a password.
    const reason = error.message.split("\n", 1)[0] ?? "";
    problems.push(`${origin}, line ${error.line}, column ${error.column}: ${reason}`);
    return [];
  }
}

interface SectionToRead {
  readonly table: object;
  /** Its path; empty at the top of the file. */
  readonly section: string;
  readonly origin: string;
  readonly env: Environment;
  readonly problems: string[];
}

function readSection({ table, section, ...rest }: SectionToRead): Given[] {
  const { origin, env, problems } = rest;
  return Object.entries(table).flatMap(([key, value]: [string, unknown]) => {
    const path = section === "" ? key : `${section}.${key}`;
    if (canonicalPaths.has(path)) return [readValue(path, value, origin, env, problems)];
    const isTable = typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
    if (!sections.has(path)) problems.push(`${origin}: ${unknownName(path, section, isTable)}`);
    else if (isTable) return readSection({ table: value, section: path, ...rest });
    else problems.push(`${origin}: ${path} is a section; write [${path}] and its keys below`);
    return [];
  });
}

function readValue(path: string, value: unknown, origin: string, env: Environment, problems: string[]): Given {
  if (typeof value === "string") {
    const { text, replaced, problems: found } = interpolate(value, env);
    problems.push(...found.map((problem) => `${path} in ${origin} ${problem}`));
    // After a problem the default stands in, so that one mistake is not reported twice.
    if (found.length > 0) return { path, value: undefined, isText: false, origin };
    return { path, value: text, isText: replaced, origin, ...(replaced ? { shown: JSON.stringify(value) } : {}) };
  }
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => readValue(path, item, origin, env, problems));
    const shown = items.some((item) => item.shown !== undefined) ? { shown: JSON.stringify(value) } : {};
    return { path, value: items.map((item) => item.value), isText: false, origin, ...shown };
  }
  return { path, value, isText: false, origin };
}

function unknownName(path: string, section: string, isTable: boolean): string {
  const known = isTable ? sections : canonicalPaths.keys();
  const meant = didYouMean(path, known) ?? (isTable ? undefined : sameKeyElsewhere(path));
  const kind = isTable ? `section [${path}]` : `key ${path}`;
  if (meant !== undefined) return `unknown ${kind}; did you mean ${isTable ? `[${meant}]` : meant}?`;
  const neighbours = [...(isTable ? sections : canonicalPaths.keys())].filter((candidate) =>
    isTable ? !candidate.includes(".") : candidate.slice(0, candidate.lastIndexOf(".")) === section,
  );
  const names = neighbours.map(lastName);
  if (names.length === 0) return `unknown ${kind}; keys stand below a section, as in [http]`;
  return `unknown ${kind}; ${isTable ? "the sections are" : `[${section}] has`} ${names.join(", ")}`;
}

/** A key under the wrong section, or under none: `port` is `http.port`. */
function sameKeyElsewhere(path: string): string | undefined {
  const paths = [...canonicalPaths.keys()];
  const key = didYouMean(lastName(path), paths.map(lastName));
  return paths.find((candidate) => lastName(candidate) === key);
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}
