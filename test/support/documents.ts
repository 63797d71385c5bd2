import { posix } from "node:path";

/** What a check needs to know of the repository besides the page. */
export interface Surroundings {
  /** The text of a file by its path from the root, undefined when there is none. Folders have the text "". */
  readonly read: (path: string) => string | undefined;
  readonly scripts: ReadonlySet<string>;
  readonly isConfigKey: (path: string) => boolean;
  readonly isConfigVariable: (name: string) => boolean;
}

export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block of code. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

const fence = /^( *)```(\w*)[^\n]*\n([\s\S]*?)^\1```/gmu;

export function codeBlocks({ text }: Page): CodeBlock[] {
  return [...text.matchAll(fence)].map(([, , language = "", block = ""]) => ({ language, text: block }));
}

/** Relative links, with or without an anchor, that lead nowhere. */
export function brokenLinks(page: Page, { read }: Surroundings): string[] {
  const prose = page.text.replaceAll(fence, "").replaceAll(/`[^`\n]*`/gu, "");
  const links = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)/gmu)];
  return links.flatMap(([, inline, reference]) => {
    const link = inline ?? reference ?? "";
    if (/^[a-z][a-z0-9+.-]*:/iu.test(link)) return [];
    const [file = "", anchor] = decodeURI(link).split("#", 2);
    const target = file === "" ? page.path : posix.normalize(posix.join(posix.dirname(page.path), file));
    const text = file === "" ? page.text : read(target.replace(/\/$/u, ""));
    if (text === undefined) return [`${page.path}: ${link} leads nowhere`];
    const isMissing = anchor !== undefined && target.endsWith(".md") && !anchorsOf(text).has(anchor);
    return isMissing ? [`${page.path}: ${link}: ${target} has no such heading`] : [];
  });
}

/** The anchors of a page's headings, made as GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const headings = [...text.replaceAll(fence, "").matchAll(/^#{1,6} +(.+?) *#*$/gmu)];
  return new Set(
    headings.map(([, heading = ""]) => {
      const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/gu, "$1").toLowerCase();
      const slug = plain.replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, "").replaceAll(/\s/gu, "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}

/** Blocks that begin with `// file: <path>` and are not what that file holds. */
export function outdatedExamples(page: Page, { read }: Surroundings): string[] {
  return codeBlocks(page).flatMap(({ text }) => {
    const [, path, shown = ""] = /^\/\/ file: (\S+)\n\n?([\s\S]*)$/u.exec(text) ?? [];
    if (path === undefined) return [];
    const file = read(path);
    if (file === undefined) return [`${page.path}: the example ${path} does not exist`];
    return file.trim() === shown.trim() ? [] : [`${page.path}: the example is not what ${path} holds`];
  });
}

/** `npm run x`, `npm start` and `npm test` that package.json does not know. */
export function unknownScripts({ path, text }: Page, { scripts }: Surroundings): string[] {
  const named = [...text.matchAll(/\bnpm (?:(?:run|run-script) +(?:-\S+ +)*([\w:.-]+)|(start|test|stop|restart)\b)/gu)];
  return named.flatMap(([command, run, short]) => {
    const script = (run ?? short ?? "").replace(/[.:]+$/u, "");
    return scripts.has(script) ? [] : [`${path}: ${command}: package.json has no such script`];
  });
}

/** Keys written as `[section] key` and variables written as TASKER_… that the configuration does not know. */
export function unknownSettings({ path, text }: Page, surroundings: Surroundings): string[] {
  const keys = [...text.matchAll(/`\[([a-z_.]+)\] ([a-z_]+)/gu)].map(([, section, key]) => `${section}.${key}`);
  const variables = [...text.matchAll(/\bTASKER_[A-Z][A-Z_]*[A-Z]\b(?![<*])/gu)].map(([name]) => name);
  return [
    ...keys.filter((key) => !surroundings.isConfigKey(key)),
    ...variables.filter((name) => !surroundings.isConfigVariable(name)),
  ].map((name) => `${path}: the configuration has no ${name}`);
}
