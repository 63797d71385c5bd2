import { type TInteger, type TOptional, type TString, Type } from "@fastify/type-provider-typebox";

import { parameterRanges } from "../../analytics/parameters.ts";
import { integer, nameCharactersMax, text } from "../schemas.ts";

/** Which templates an answer is about. */
export const filter: Readonly<Record<"namespace" | "task_name" | "version", TOptional<TString>>> = {
  namespace: Type.Optional(text(nameCharactersMax)),
  task_name: Type.Optional(text(nameCharactersMax)),
  version: Type.Optional(text(nameCharactersMax)),
};

/** A whole number in the range of its parameter. */
export function bounded(name: keyof typeof parameterRanges, byDefault: number): TInteger {
  const { min, max } = parameterRanges[name];
  return integer(min, max, { default: byDefault });
}
