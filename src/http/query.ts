import { parse } from "node:querystring";

/** Queries that are remembered, and the longest of them: strangers may ask for anything. */
const rememberedMax = 200;
const charactersMax = 200;
/** Parameters of one query that are looked at. None takes so many, so that one too many is seen. */
const parametersMax = 100;

/** A query as it was given: a text for each name, or a list where a name stands more than once. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * A parser that gives the same frozen object for the same text, so that what was made of one query can be found again by
 * it: dashboards ask for the same few, and to read and check one costs as much as to look up its answer.
 */
export function rememberingParser(): (text: string) => Query {
  const remembered = new Map<string, Query>();
  return (text) => {
    const known = remembered.get(text);
    if (known !== undefined) return known;
    const query = Object.freeze(parse(text, "&", "=", { maxKeys: parametersMax }));
    if (remembered.size < rememberedMax && text.length <= charactersMax) remembered.set(text, query);
    return query;
  };
}
