import { dirname, join, normalize } from "node:path/posix";

import { codeOnly, importsOf, type Import } from "./source-code.ts";

/** The text of every file by its path from the repository's root. */
export type Files = ReadonlyMap<string, string>;

interface SourceFile {
  readonly path: string;
  readonly source: string;
  /** Without comments and the contents of strings. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Finds every place that breaks a rule, each as `path: what is wrong`. */
export type Rule = (files: Files) => string[];

/** From the top to the bottom: each imports only what stands below it. Those in one row never import each other. */
const order = [
  ["testing"],
  ["main"],
  ["cli", "index"],
  ["tasker"],
  ["app"],
  ["config", "client"],
  ["http"],
  ["worker", "seed-history"],
  ["templates", "analytics"],
  ["engine"],
  ["workflow", "cache", "postgres"],
  ["runtime"],
];

/** Modules that take nothing but types from those below them, `runtime` apart. */
const typesOnly = ["config", "client"];

/** Where a package may be imported; any other file must go through what stands there. */
const packageHomes: readonly (readonly [name: RegExp, home: RegExp])[] = [
  [/^pg(-copy-streams)?(\/|$)/u, /^src\/postgres\//u],
  [/^ioredis(\/|$)/u, /^src\/cache\/providers\/redis/u],
  [/^lru-cache(\/|$)/u, /^src\/(cache\/providers\/memory|http\/codings|http\/representations)/u],
  [/^(fastify|@fastify\/.*|negotiator)$/u, /^src\/http\//u],
  [/^pino(\/|$)/u, /^src\/runtime\/logging\.ts$/u],
  [/^prom-client(\/|$)/u, /^src\/runtime\/metrics\.ts$/u],
  [/^smol-toml(\/|$)/u, /^src\/config\//u],
  [/^commander(\/|$)/u, /^src\/cli\//u],
];

const runtimeFiles = ["clock.ts", "lifecycle.ts", "logging.ts", "metrics.ts"];

const linesMax = 300;

/** Files that are longer, with their length: a ceiling that only falls. */
const longFiles: ReadonlyMap<string, number> = new Map();

const clocks =
  /\bnew\s+Date\b(?!\s*\(\s*[^)\s])|\bDate\s*\.\s*now\b|(?<!new\s+)\bDate\s*\(\s*\)|(?<![.\w])set(?:Timeout|Interval)\b|\bperformance\s*\.\s*now\b|\bhrtime\b|\bAbortSignal\s*\.\s*timeout\b/gu;

const anyType = /(?:[:<|&,(=]|\bas|\bextends|\bkeyof)\s*any\b(?!\s*[:(.?])/gu;

export const rules = {
  importDirection: (files) =>
    sourceFiles(files).flatMap((file) => file.imports.flatMap((one) => wrongDirection(file, one))),

  packagesAtHome: (files) =>
    sourceFiles(files).flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier }) => {
        const home = packageHomes.find(([name]) => name.test(specifier))?.[1];
        return home === undefined || home.test(path)
          ? []
          : [`${path}: ${specifier} may be imported only in ${home.source}`];
      }),
    ),

  environmentInConfigOnly: (files) =>
    sourceFiles(files)
      .filter(({ path }) => !path.startsWith("src/config/"))
      .flatMap((file) => [
        ...matches(
          file,
          /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[/gu,
          "the environment is read only in src/config",
        ),
        ...file.imports
          .filter(({ specifier }) => /^(?:node:)?process$/u.test(specifier))
          .map(() => `${file.path}: use the global process, whose env only src/config reads`),
      ]),

  clocksInRuntimeOnly: (files) =>
    sourceFiles(files)
      .filter(({ path }) => !path.startsWith("src/runtime/"))
      .flatMap((file) => [
        ...matches(file, clocks, "clocks and timers are used only in src/runtime; take a Clock"),
        ...file.imports
          .filter(({ specifier }) => /^(?:node:)?timers(?:\/|$)/u.test(specifier))
          .map(({ specifier }) => `${file.path}: ${specifier} may be imported only in src/runtime`),
      ]),

  runtimeIsClosed: (files) =>
    [...files.keys()]
      .filter((path) => path.startsWith("src/runtime/") && !runtimeFiles.includes(path.slice("src/runtime/".length)))
      .map(
        (path) => `${path}: src/runtime is a closed list; a new file needs a decision record and a line in this test`,
      ),

  filesAreShort: (files) => [...files].flatMap(([path, text]) => wrongLength(path, text.trimEnd().split("\n").length)),

  noAny: (files) => everyFile(files).flatMap((file) => matches(file, anyType, "no any; unknown and a check instead")),

  noDoubleCast: (files) =>
    everyFile(files).flatMap((file) => matches(file, /\bas\s+unknown\s+as\b/gu, "no cast through unknown")),

  noSilencedCompiler: (files) =>
    [...files]
      .filter(([, text]) => /@ts-(?:ignore|nocheck)\b/u.test(text))
      .map(([path]) => `${path}: the compiler is not silenced`),

  noExportStar: (files) =>
    sourceFiles(files).flatMap((file) => matches(file, /\bexport\s*(?:type\s*)?\*/gu, "exports are named")),

  noCycles: (files) => cycles(sourceFiles(files)),

  foldersAreDescribed: (files) => {
    const description = files.get("ARCHITECTURE.md") ?? "";
    const folders = new Set([...files.keys()].filter((path) => path.startsWith("src/")).map((path) => dirname(path)));
    const names = new Set([...folders].flatMap((folder) => folder.split("/").slice(1)));
    return [...names]
      .filter((name) => !description.includes(`${name}/`))
      .map((name) => `src: the folder ${name}/ is not described in ARCHITECTURE.md`);
  },
} satisfies Record<string, Rule>;

const parsed = new WeakMap<Files, readonly SourceFile[]>();

function everyFile(files: Files): readonly SourceFile[] {
  let list = parsed.get(files);
  if (list === undefined) {
    list = [...files].flatMap(([path, source]) => {
      if (!/\.tsx?$/u.test(path)) return [];
      const code = codeOnly(source);
      return [{ path, source, code, imports: importsOf(source, code) }];
    });
    parsed.set(files, list);
  }
  return list;
}

function sourceFiles(files: Files): readonly SourceFile[] {
  return everyFile(files).filter(({ path }) => path.startsWith("src/"));
}

function matches({ path, code }: SourceFile, pattern: RegExp, complaint: string): string[] {
  return [...code.matchAll(pattern)].map((match) => {
    const line = code.slice(0, match.index).split("\n").length;
    return `${path}:${line}: ${match[0].trim()}: ${complaint}`;
  });
}

/** `src/http/server.ts` belongs to `http`, `src/app.ts` to `app`. */
function moduleOf(path: string): string {
  return (path.split("/")[1] ?? "").replace(/\.tsx?$/u, "");
}

function targetOf(path: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? normalize(join(dirname(path), specifier)) : undefined;
}

function wrongDirection({ path }: SourceFile, { specifier, typeOnly }: Import): string[] {
  const target = targetOf(path, specifier);
  if (target === undefined) return [];
  if (!target.startsWith("src/")) return [`${path}: ${specifier} leaves src`];
  const [from, to] = [moduleOf(path), moduleOf(target)];
  const [fromRow, toRow] = [from, to].map((name) => order.findIndex((row) => row.includes(name)));
  if (fromRow === undefined || toRow === undefined || fromRow === -1 || toRow === -1) {
    return [`${path}: ${fromRow === -1 ? from : to} has no place in the order of imports`];
  }
  if (from === to) return [];
  if (fromRow >= toRow) return [`${path}: ${from} stands beside or below ${to} and may not import ${specifier}`];
  if (typesOnly.includes(from) && to !== "runtime" && !typeOnly)
    return [`${path}: ${from} imports only types of ${to}`];
  if (from === "client" && to !== "http" && to !== "runtime") return [`${path}: client imports only types of http`];
  return [];
}

function wrongLength(path: string, lines: number): string[] {
  const ceiling = longFiles.get(path);
  if (lines > (ceiling ?? linesMax)) return [`${path}: ${lines} lines; at most ${ceiling ?? linesMax}`];
  if (ceiling !== undefined && lines < ceiling) return [`${path}: lower its ceiling to ${lines}, or remove it`];
  return [];
}

function cycles(sources: readonly SourceFile[]): string[] {
  const byPath = new Map(sources.map((file) => [file.path, file]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start !== -1) found.push(`${path}: imports itself through ${[...trail.slice(start), path].join(" -> ")}`);
    if (start !== -1 || done.has(path)) return;
    for (const { specifier } of byPath.get(path)?.imports ?? []) {
      const target = targetOf(path, specifier);
      if (target !== undefined) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const { path } of sources) visit(path, []);
  return found;
}
