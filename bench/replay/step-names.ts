import { createHash } from "node:crypto";

/** What src/workflow/template.ts accepts as the name of a step or a template. */
const validName = /^[A-Za-z][A-Za-z0-9_.-]*$/u;
const nameCharactersMax = 128;
const hashCharacters = 8;

/**
 * Names for the ids of a trace's tasks: valid, unique, and stable. A valid id is its own name; any other is made valid and
 * ends in a hash of the id, so that its name does not depend on which other ids there are.
 *
 * @param ids all different
 */
export function stepNames(ids: readonly string[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const taken = new Set(ids.filter(isValidName));
  // In the order of the ids themselves: should two names be alike, the trace's order does not decide which gives way.
  for (const id of ids.toSorted()) names.set(id, isValidName(id) ? id : freeName(id, taken));
  return names;
}

function isValidName(id: string): boolean {
  return id.length <= nameCharactersMax && validName.test(id);
}

function freeName(id: string, taken: Set<string>): string {
  const hash = createHash("sha256").update(id).digest("hex");
  for (let length = hashCharacters; length <= hash.length; length++) {
    const name = adapt(id, hash.slice(0, length));
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
  throw new Error(`no name is free for ${JSON.stringify(id)}`);
}

/** A text as the name of a template: as it is if that is valid, otherwise made valid, with a hash of it. */
export function templateNameOf(text: string): string {
  return isValidName(text) ? text : freeName(text, new Set());
}

function adapt(text: string, hash: string): string {
  const words = text.replaceAll(/[^A-Za-z0-9_.-]+/gu, "_");
  const begun = /^[A-Za-z]/u.test(words) ? words : `s${words}`;
  return `${begun.slice(0, nameCharactersMax - hash.length - 1)}-${hash}`;
}
