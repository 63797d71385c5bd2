import type { Environment } from "./environment.ts";

export interface Interpolation {
  readonly text: string;
  /** Whether anything was put in: the text may then hold a secret and stand for a number or a flag. */
  readonly replaced: boolean;
  /** What is wrong, in words that follow the key's name. */
  readonly problems: readonly string[];
}

const placeholder = /\$?\$\{([^}]*)(\}?)/gu;
const content = /^(?<name>[A-Za-z_]\w*)(?::-(?<fallback>.*))?$/su;

/**
 * Puts environment variables into a text of the configuration file: `${VAR}` must be set, `${VAR:-default}` takes the
 * default when VAR is unset or empty (as in the shell), `$${` stands for a plain `${`. What is put in is not looked at again.
 */
export function interpolate(template: string, env: Environment): Interpolation {
  const problems: string[] = [];
  let replaced = false;
  const text = template.replaceAll(placeholder, (whole: string, inside: string, closing: string) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    const { name, fallback } = content.exec(inside)?.groups ?? {};
    if (name === undefined || closing === "") {
      problems.push(`holds a broken placeholder; write \${NAME} or \${NAME:-default}, or $\${ for a plain \${`);
      return whole;
    }
    replaced = true;
    const value = env[name];
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined) {
      problems.push(`needs the environment variable ${name}, which is not set; set it or write \${${name}:-default}`);
    }
    return value ?? "";
  });
  return { text, replaced, problems };
}
