/** A value within a key. A list means a set: its order and repetitions make no other key. */
export type KeyParameter = string | number | boolean | readonly string[];

/** Parameters by their snake_case names; undefined means not given. */
export type KeyParameters = Readonly<Record<string, KeyParameter | undefined>>;

/**
 * The keys of all caches. Two different sets of parameters never share a key, and no name brings a `:`, a pattern
 * character or white space into one. A parameter must always have the same type: 1 and "1" read the same.
 */
export class CacheKeys {
  readonly #prefix: string;

  /**
   * `prefix` tells apart systems that share a store. It may have parts of its own (`acme:tasker`), but then must not begin
   * with the whole prefix of another.
   */
  constructor(prefix: string) {
    this.#prefix = prefix.split(":").map(escaped).join(":");
  }

  /** `{prefix}:analytics:performance:{hours}` and what differs from the defaults. */
  performance(hours: number, further: KeyParameters = {}, defaults: KeyParameters = {}): string {
    return this.analytics("performance", [hours], further, defaults);
  }

  /** `{prefix}:analytics:bottlenecks:{limit}:{min_executions}` and what differs from the defaults. */
  bottlenecks(limit: number, minExecutions: number, further: KeyParameters = {}, defaults: KeyParameters = {}): string {
    return this.analytics("bottlenecks", [limit, minExecutions], further, defaults);
  }

  /**
   * `{prefix}:analytics:{resource}`, the `positional` parameters that each key of the resource has, then `:name=value`
   * for each of the `further` ones that is given and is not its default, ordered by name.
   */
  analytics(
    resource: string,
    positional: readonly number[],
    further: KeyParameters = {},
    defaults: KeyParameters = {},
  ): string {
    const appended = Object.keys(further)
      .toSorted()
      .flatMap((name) => {
        const text = textOf(further[name]);
        return text === undefined || text === textOf(defaults[name]) ? [] : [`${escaped(name)}=${text}`];
      });
    return [this.#prefix, "analytics", escaped(resource), ...positional.map(textOf), ...appended].join(":");
  }

  /** `{prefix}:template:{namespace}:{name}:{version}`. */
  template(namespace: string, name: string, version: string): string {
    return [this.#prefix, "template", escaped(namespace), escaped(name), escaped(version)].join(":");
  }
}

function textOf(value: KeyParameter | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "object") return escaped(String(value));
  // A comma after each, not between them: no names and one empty name are different lists.
  return [...new Set(value)]
    .toSorted()
    .map((name) => `${escaped(name)},`)
    .join("");
}

/** Everything but ASCII letters, digits, `_`, `.`, `~` and `-`, as in a URL. */
const unsafe = /[^\w.~-]/gu;

/** Nearly every text is safe as it is. */
const safe = /^[\w.~-]*$/u;

function escaped(text: string): string {
  if (safe.test(text)) return text;
  return text.replaceAll(unsafe, (character) => {
    const unit = character.charCodeAt(0);
    // Half of a pair has no UTF-8; to replace it, as TextEncoder does, would make different names one.
    if (character.length === 1 && unit >= 0xd800 && unit <= 0xdfff) return `%u${unit.toString(16)}`;
    return Buffer.from(character)
      .toString("hex")
      .toUpperCase()
      .replaceAll(/../gu, (hex) => `%${hex}`);
  });
}
