import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { AnyTaskDefinition } from "../workflow/define-task.ts";
import { CommandError } from "./command-error.ts";

/**
 * Imports the task definitions that a module of the user's exports: by name, or in an array as its default.
 *
 * @throws CommandError when it cannot be imported or exports none
 */
export async function importTasks(path: string): Promise<AnyTaskDefinition[]> {
  const file = resolve(path);
  if (!existsSync(file)) throw new CommandError(`--tasks ${path}: there is no such file`);
  const definitions = definitionsOf(await importModule(path, file));
  if (definitions.length > 0) return definitions;
  throw new CommandError(
    `--tasks ${path}: the module exports no task definitions. Export what defineTask(...) gives, by name or as a default array`,
  );
}

async function importModule(path: string, file: string): Promise<object> {
  try {
    const module: unknown = await import(pathToFileURL(file).href);
    return typeof module === "object" && module !== null ? module : {};
  } catch (error) {
    throw new CommandError(`--tasks ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return `importing the module failed with ${String(error)}`;
  const code = "code" in error ? error.code : undefined;
  if (code === "ERR_UNKNOWN_FILE_EXTENSION") {
    return (
      "this Node does not run TypeScript. Compile the module, take Node 22.18 or newer, or have tsx do it: " +
      `NODE_OPTIONS="--import tsx" (after npm install --save-dev tsx)`
    );
  }
  return `the module cannot be imported (${error.name}: ${error.message}); --debug shows where`;
}

function definitionsOf(module: object): AnyTaskDefinition[] {
  const exported = Object.values(module).flatMap((value: unknown) =>
    Array.isArray(value) ? (value as unknown[]) : [value],
  );
  return [...new Set(exported)].filter(isDefinition);
}

/** By its shape: the module may bring another copy of this package. */
function isDefinition(value: unknown): value is AnyTaskDefinition {
  return (
    typeof value === "object" &&
    value !== null &&
    "handlerOf" in value &&
    typeof value.handlerOf === "function" &&
    "spec" in value
  );
}
