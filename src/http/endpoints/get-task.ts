import { Type } from "@fastify/type-provider-typebox";

import { NotFoundError } from "../../engine/errors.ts";
import { readTask, type StepView, type TaskView } from "../../engine/read-task.ts";
import type { HttpServerOptions } from "../options.ts";
import { uuid } from "../schemas.ts";
import type { Shell } from "../shell.ts";

const params = Type.Object({ task: uuid });

/** `GET /v1/tasks/{task}`: a task as it stands, with its steps in the order of its template. */
export function addGetTask(shell: Shell, { database }: HttpServerOptions): void {
  shell.get("/v1/tasks/:task", { schema: { params } }, async ({ params: { task: id } }) => {
    const task = await readTask(database, id);
    if (task === null) throw new NotFoundError(`There is no task ${id}`);
    return taskBody(task);
  });
}

function taskBody(task: TaskView) {
  return {
    id: task.id,
    namespace: task.namespace,
    name: task.name,
    version: task.version,
    revision: task.revision,
    state: task.state,
    input: task.input,
    idempotency_key: task.idempotencyKey,
    correlation_id: task.correlationId,
    tags: task.tags,
    priority: task.priority,
    run_at: task.runAt,
    created_at: task.createdAt,
    ended_at: task.endedAt,
    steps: task.steps.map(stepBody),
  };
}

function stepBody(step: StepView) {
  return {
    id: step.id,
    name: step.name,
    state: step.state,
    life: step.life,
    attempt: step.attempt,
    failed_attempts: step.failedAttempts,
    ready_at: step.readyAt,
    first_started_at: step.firstStartedAt,
    started_at: step.startedAt,
    finished_at: step.finishedAt,
    available_at: step.availableAt,
    run_seconds: step.runSeconds,
    output: step.output,
    last_error: step.lastError,
    last_heartbeat_at: step.lastHeartbeatAt,
    progress: step.progress,
  };
}

/** A task as it is sent. */
export type TaskBody = ReturnType<typeof taskBody>;
/** A step of it. */
export type StepBody = ReturnType<typeof stepBody>;
