import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What a property of a demo's input may be. */
interface Kinds {
  readonly text: string;
  readonly "whole number": number;
  readonly "list of texts": readonly string[];
}

type InputOf<Shape extends Readonly<Record<string, keyof Kinds>>> = {
  readonly [Key in keyof Shape]: Kinds[Shape[Key]];
};

/**
 * A schema by hand, so that the demo needs no library: an object with exactly these properties. In your own tasks take zod,
 * valibot, arktype or whatever else speaks Standard Schema.
 */
export function inputSchema<const Shape extends Readonly<Record<string, keyof Kinds>>>(
  shape: Shape,
): StandardSchemaV1<InputOf<Shape>> {
  return {
    "~standard": {
      version: 1,
      vendor: "tasker-demo",
      validate: (value) => {
        const issues = issuesOf(value, shape);
        // Every property was looked at.
        return issues.length > 0 ? { issues } : { value: value as InputOf<Shape> };
      },
    },
  };
}

function issuesOf(value: unknown, shape: Readonly<Record<string, keyof Kinds>>): StandardSchemaV1.Issue[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [{ message: "must be an object" }];
  const given: Readonly<Record<string, unknown>> = { ...value };
  return [
    ...Object.entries(shape)
      .filter(([key, kind]) => !isOfKind(given[key], kind))
      .map(([key, kind]) => ({ path: [key], message: `must be a ${kind}` })),
    ...Object.keys(given)
      .filter((key) => !Object.hasOwn(shape, key))
      .map((key) => ({ path: [key], message: "is not known" })),
  ];
}

function isOfKind(value: unknown, kind: keyof Kinds): boolean {
  if (kind === "text") return typeof value === "string" && value !== "";
  if (kind === "whole number") return Number.isSafeInteger(value);
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
