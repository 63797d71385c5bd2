import { pino } from "pino";

/** What the system needs of a logger; any pino logger is one. Called as `logger.warn({ taskId }, "message")`. */
export type Logger = Pick<pino.Logger, "debug" | "info" | "warn" | "error">;

/** From the most to the least talkative. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Lines for people (`12:30:59 WARN  message key=value`) instead of JSON. */
  readonly pretty?: boolean;
  /** Where lines go. Default: standard error, so that the output of commands stays clean. */
  readonly destination?: { write(line: string): void };
}

const hidden = "***";

/** Properties whose values are secrets wherever an object carries them at the top level or one below. */
const secretProperties = ["password", "secret", "token", "authorization", '["x-api-key"]', "api_key", "cookie"];

const secretPaths = [
  ...secretProperties.flatMap((name) => [name, name.startsWith("[") ? `*${name}` : `*.${name}`]),
  "*.headers.authorization",
  '*.headers["x-api-key"]',
  "*.headers.cookie",
  // A redis client hangs the failed command on its error: for AUTH the arguments are the password.
  "*.command.args",
];

/** `scheme://user:` up to the last `@` before a blank or a quote: a password may itself hold `@`, `:` and `/`. */
const credentials = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/"'`\\]*):[^\s"'`\\]*@/giu;
const passwordParameters = /([?&](?:ssl)?password=)[^\s&"'`\\#]*/giu;

/**
 * Hides the passwords of connection URLs, in a URL or in a text that holds some:
 * `postgres://app:secret@db/tasker` becomes `postgres://app:***@db/tasker`.
 */
export function redactUrl(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(credentials, `$1:${hidden}@`).replace(passwordParameters, `$1${hidden}`);
}

/** Creates a logger that hides secrets: those under well known property names, and passwords of URLs anywhere in a line. */
export function createLogger(options: LoggerOptions): Logger {
  const destination = options.destination ?? process.stderr;
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretPaths, censor: hidden },
      hooks: { streamWrite: redactUrl },
    },
    options.pretty === true ? { write: (line: string) => void destination.write(prettyLine(line)) } : destination,
  );
}

const ignore = (): void => undefined;

/** Drops everything. For tests and for callers that bring no logger. */
export const silentLogger: Logger = Object.freeze({ debug: ignore, info: ignore, warn: ignore, error: ignore });

function prettyLine(line: string): string {
  // pino writes one JSON object a line.
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const clock = typeof time === "string" ? time.slice(11, 19) : "";
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${inText(value)}`);
  const head = `${clock} ${inText(level).toUpperCase().padEnd(5)} ${inText(msg ?? "")}${fields.join("")}\n`;
  return err === undefined ? head : `${head}${errorLines(err)}`;
}

function errorLines(error: unknown): string {
  const stack = typeof error === "object" && error !== null && "stack" in error ? error.stack : error;
  return `${inText(stack).replaceAll(/^/gmu, "    ")}\n`;
}

function inText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
