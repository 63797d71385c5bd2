import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";
import { InvalidPayloadError } from "../workflow/errors.ts";

/** The JSON Schema of inputs, when the schema's library can give one (Standard JSON Schema); undefined otherwise. */
export function inputJsonSchema(schema: StandardSchemaV1 | undefined): unknown {
  if (schema === undefined || !givesJsonSchema(schema)) return undefined;
  try {
    return schema["~standard"].jsonSchema.input({ target: "draft-2020-12" });
  } catch {
    // The library says by throwing that this schema has no JSON Schema (a transformation, say). It still checks inputs.
    return undefined;
  }
}

function givesJsonSchema(schema: StandardSchemaV1): schema is StandardSchemaV1 & StandardJSONSchemaV1 {
  return "jsonSchema" in schema["~standard"];
}

/**
 * Checks an input and returns it as the schema gives it out (defaults filled in, unknown keys dropped as it says).
 *
 * @param what names the input in the error ("the input of shop/fulfil_order 1.0.0")
 * @throws InvalidPayloadError with the path and reason of each issue
 */
export async function checkInput(schema: StandardSchemaV1 | undefined, input: unknown, what: string): Promise<unknown> {
  if (schema === undefined) return input;
  const result = await schema["~standard"].validate(input);
  if (result.issues === undefined) return result.value;
  const issues = result.issues.slice(0, issuesShownMax).map((issue) => {
    const path = issue.path?.map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return path === undefined || path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  throw new InvalidPayloadError(`${what} is not valid: ${issues.join("; ")}`);
}

const issuesShownMax = 20;
