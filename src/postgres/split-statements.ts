/** What hides a semicolon: comments, strings, quoted names, dollar-quoted bodies. Sticky, tried at one position. */
const opaque =
  /--[^\n]*|\/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/suy;

/**
 * Splits a script at the semicolons that end statements. Needed where statements must not share a transaction: Postgres
 * runs a text of several statements as one.
 */
export function splitStatements(script: string): string[] {
  const statements: string[] = [];
  let start = 0;
  let position = 0;
  let empty = true;
  while (position < script.length) {
    const character = script.charAt(position);
    if (character === ";") {
      if (!empty) statements.push(script.slice(start, position).trim());
      position += 1;
      start = position;
      empty = true;
      continue;
    }
    const end = endOfOpaque(script, position);
    const comment = end > position && (script.startsWith("--", position) || script.startsWith("/*", position));
    if (!comment && character.trim() !== "") empty = false;
    position = Math.max(end, position + 1);
  }
  if (!empty) statements.push(script.slice(start).trim());
  return statements;
}

/** The position behind the comment, string or quoted body that begins at `position`, or `position` when none does. */
function endOfOpaque(script: string, position: number): number {
  // An identifier may contain `e` before a quote or `$`: only the beginning of a word can open one of these.
  if (/[\w$]/.test(script.charAt(position - 1)) && /[eE$]/.test(script.charAt(position))) return position;
  opaque.lastIndex = position;
  const match = opaque.exec(script);
  if (match === null) return position;
  const token = match[0];
  if (token === "/*") return endOfBlockComment(script, position);
  if (!token.startsWith("$")) return opaque.lastIndex;
  const closing = script.indexOf(token, opaque.lastIndex);
  return closing === -1 ? script.length : closing + token.length;
}

/** Block comments nest in SQL. */
function endOfBlockComment(script: string, position: number): number {
  const marks = /\/\*|\*\//gu;
  marks.lastIndex = position;
  let depth = 0;
  for (let mark = marks.exec(script); mark !== null; mark = marks.exec(script)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return script.length;
}
