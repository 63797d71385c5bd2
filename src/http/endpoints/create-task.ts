import { Type } from "@fastify/type-provider-typebox";

import { InvalidRequestError } from "../errors.ts";
import type { HttpServerOptions } from "../options.ts";
import { integer, nameCharactersMax, text, texts } from "../schemas.ts";
import type { Shell } from "../shell.ts";

const tagsMax = 20;
const tagCharactersMax = 100;
/** An idempotency key stands in an index, whose entries are bounded. */
const keyCharactersMax = 255;
/** What a `Date` and Postgres both take. */
const runAtRange = { min: Date.UTC(1970, 0, 1), max: Date.UTC(9999, 11, 31, 23, 59, 59, 999) };
const runAtExpected = "an RFC 3339 time from 1970 to 9999, like 2026-12-24T18:00:00Z";

const body = Type.Object(
  {
    namespace: text(nameCharactersMax),
    name: text(nameCharactersMax),
    version: text(nameCharactersMax),
    input: Type.Unknown(),
    idempotency_key: Type.Optional(text(keyCharactersMax)),
    correlation_id: Type.Optional(text(keyCharactersMax)),
    tags: Type.Optional(texts(tagsMax, tagCharactersMax)),
    priority: Type.Optional(integer(-32_768, 32_767)),
    run_at: Type.Optional(Type.String({ format: "date-time", description: runAtExpected })),
  },
  { additionalProperties: false },
);

/** `POST /v1/tasks`: creates a task of a registered template, or finds the one that its idempotency key has created. */
export function addCreateTask(shell: Shell, { submitter }: HttpServerOptions): void {
  shell.post("/v1/tasks", { schema: { body } }, async (request, reply) => {
    const { namespace, name, version, input, tags, priority } = request.body;
    const [task] = await submitter.submit({ namespace, name, version }, [
      {
        input,
        idempotencyKey: request.body.idempotency_key,
        correlationId: request.body.correlation_id,
        tags,
        priority,
        runAt: runAtOf(request.body.run_at),
      },
    ]);
    if (task === undefined) throw new Error("The submission of one task had no result");
    const { id, outcome } = task;
    if (outcome === "created") reply.code(201).header("location", `/v1/tasks/${id}`);
    return { id, outcome };
  });
}

function runAtOf(time: string | undefined): Date | undefined {
  if (time === undefined) return undefined;
  const runAt = new Date(time.toUpperCase());
  const ms = runAt.getTime();
  if (ms >= runAtRange.min && ms <= runAtRange.max) return runAt;
  throw new InvalidRequestError("invalid_body", [{ field: "run_at", message: `must be ${runAtExpected}` }]);
}
