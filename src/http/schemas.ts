import {
  type TArray,
  type TInteger,
  type TLiteral,
  type TString,
  type TUnion,
  Type,
} from "@fastify/type-provider-typebox";

// What requests are made of. Each description completes the sentence "<name> must be ...", with which a mistake is told.

/**
 * A text of 1 to `charactersMax` characters (code points), none of them a control character or half of a surrogate pair:
 * Postgres can store it, and a log can show it.
 */
export function text(charactersMax: number): TString {
  return Type.String({
    pattern: `^[^\\p{Cc}\\p{Cs}]{1,${charactersMax}}$`,
    minLength: 1,
    maxLength: charactersMax,
    description: `a text of 1 to ${charactersMax} characters without control characters`,
  });
}

/** Longer than any namespace, template name or version may be. */
export const nameCharactersMax = 128;

/** A UUID in its usual form. */
export const uuid: TString = Type.String({
  pattern: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
  description: "a UUID",
});

/** A whole number, both ends included. */
export function integer(minimum: number, maximum: number, more: { readonly default?: number } = {}): TInteger {
  return Type.Integer({ minimum, maximum, description: `a whole number from ${minimum} to ${maximum}`, ...more });
}

/** One of some words. */
export function choice<Word extends string>(words: readonly Word[], byDefault: Word): TUnion<TLiteral<Word>[]> {
  return Type.Union(
    words.map((word) => Type.Literal(word)),
    { default: byDefault, description: `one of ${words.join(", ")}` },
  );
}

/** A list of texts. */
export function texts(itemsMax: number, charactersMax: number): TArray<TString> {
  return Type.Array(text(charactersMax), {
    maxItems: itemsMax,
    description: `a list of at most ${itemsMax} texts of 1 to ${charactersMax} characters without control characters`,
  });
}
