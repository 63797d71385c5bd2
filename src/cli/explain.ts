import { CommanderError } from "commander";
import { PortInUseError } from "../http/errors.ts";
import { isTransient, sqlState, sqlStateOf } from "../postgres/sqlstate.ts";
import { redactUrl } from "../runtime/logging.ts";
import { CommandError, exitCodes } from "./command-error.ts";

/** With which exit code a command ends that failed so. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode;
  // Commander's own: 0 after --help and --version, else the command line is wrong.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
  return exitCodes.failure;
}

/** What went wrong and how to mend it, in a line for people. Holds no secrets. */
export function explain(error: unknown): string {
  return redactUrl(sentenceOf(error));
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof PortInUseError)
    return `${firstSentence(error.message)}. Choose another with --port (0 takes a free one)`;
  const state = sqlStateOf(error);
  if (state === sqlState.invalid_password || state === sqlState.invalid_catalog_name || state === "28000") {
    return `the database refuses the connection: ${error.message}. Correct DATABASE_URL`;
  }
  if (isTransient(error)) {
    return `the database cannot be reached: ${reasonOf(error)}. Is it running, and is DATABASE_URL right?`;
  }
  if (error instanceof CommandError || "code" in error) return error.message;
  // Nobody has foreseen this one, so that its message may not say enough.
  return `${error.message === "" ? error.name : error.message} (--debug shows where)`;
}

function reasonOf(error: Error): string {
  if (error.message === "" && error instanceof AggregateError && error.errors.length > 0) return sentenceOfFirst(error);
  return error.message;
}

/** A name with several addresses fails once for each; one of them says enough. */
function sentenceOfFirst({ errors }: AggregateError): string {
  const first: unknown = errors[0];
  return first instanceof Error ? first.message : String(first);
}

function firstSentence(text: string): string {
  return text.split(". ", 1)[0] ?? text;
}
