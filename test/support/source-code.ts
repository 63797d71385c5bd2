/**
 * A text of the same length and lines as `source` in which only code is left: what stands in comments, in strings, in the
 * texts of templates and in regular expressions is blanked. Quotes stay, so that a string can still be found.
 */
export function codeOnly(source: string): string {
  let code = "";
  let at = 0;
  /** Depths of braces at which a `${` was opened; the matching `}` goes on with the template. */
  const templates: number[] = [];
  let depth = 0;
  const skipTo = (end: number, keptAtEnds: number): void => {
    const text = source.slice(at, end);
    const middle = text.slice(keptAtEnds, Math.max(keptAtEnds, text.length - keptAtEnds));
    code += text.slice(0, keptAtEnds) + middle.replaceAll(/[^\n]/gu, " ");
    if (text.length > keptAtEnds) code += text.slice(Math.max(keptAtEnds, text.length - keptAtEnds));
    at = end;
  };
  while (at < source.length) {
    const char = source.charAt(at);
    const rest = source.slice(at, at + 2);
    if (rest === "//") skipTo(endOf(source, "\n", at), 0);
    else if (rest === "/*") skipTo(endOf(source, "*/", at + 2) + 2, 0);
    else if (char === '"' || char === "'") skipTo(endOfString(source, at), 1);
    else if (char === "`" || (char === "}" && templates.at(-1) === depth)) {
      if (char === "}") {
        templates.pop();
        depth -= 1;
      }
      const end = endOfTemplateText(source, at + 1);
      if (source.slice(end - 2, end) === "${") {
        depth += 1;
        templates.push(depth);
      }
      skipTo(end, 1);
    } else if (char === "/" && beginsRegExp(code)) skipTo(endOfRegExp(source, at), 1);
    else {
      if (char === "{") depth += 1;
      if (char === "}") depth -= 1;
      code += char;
      at += 1;
    }
  }
  return code;
}

function endOf(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from);
  return found === -1 ? source.length : found;
}

function endOfString(source: string, start: number): number {
  let at = start + 1;
  while (at < source.length && source[at] !== source[start] && source[at] !== "\n") at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Behind the closing quote, or behind the `${` that interrupts the text. */
function endOfTemplateText(source: string, start: number): number {
  let at = start;
  while (at < source.length) {
    if (source[at] === "`") return at + 1;
    if (source.slice(at, at + 2) === "${") return at + 2;
    at += source[at] === "\\" ? 2 : 1;
  }
  return at;
}

/** A slash divides behind a value and begins a regular expression anywhere else. */
function beginsRegExp(codeBefore: string): boolean {
  const before = codeBefore.trimEnd();
  if (/(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|await|yield|throw|new)$/u.test(before)) return true;
  return before === "" || /[(,=:[!&|?{};+\-*%<>~^]$/u.test(before);
}

function endOfRegExp(source: string, start: number): number {
  let at = start + 1;
  let inClass = false;
  while (at < source.length && source[at] !== "\n" && (inClass || source[at] !== "/")) {
    if (source[at] === "[") inClass = true;
    if (source[at] === "]") inClass = false;
    at += source[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** One `import` or `export … from`, or a dynamic import. */
export interface Import {
  readonly specifier: string;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

const fromClause = /\b(import|export)(\s+type\b(?!\s*(?:,|from\b)))?\s*([\w$*{}\s,]*?)\bfrom\s*(["'])/gu;
const bareOrDynamic = /\bimport\s*(?:\(\s*)?(["'])/gu;

/** Everything that a file imports; `code` is what {@link codeOnly} left of `source`. */
export function importsOf(source: string, code: string): Import[] {
  const found: Import[] = [];
  const add = (match: RegExpExecArray, typeOnly: boolean): void => {
    const start = match.index + match[0].length;
    const end = code.indexOf(code.charAt(start - 1), start);
    found.push({ specifier: source.slice(start, end), typeOnly });
  };
  for (const match of code.matchAll(fromClause)) add(match, match[2] !== undefined);
  for (const match of code.matchAll(bareOrDynamic)) add(match, false);
  return found;
}
