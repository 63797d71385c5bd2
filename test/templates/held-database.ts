import type { Database, PoolUsage, Statement } from "../../src/postgres/sql.ts";
import type { TemplateName } from "../../src/workflow/template.ts";

/**
 * How something that is under way ends: it happens and is heard of; it fails; it happens unheard; it is given up and happens later.
 * With Postgres there are only the first two.
 */
export type Ending = "done" | "failed" | "unheard" | "late";

/** An operation that waits for the history. */
export interface Held {
  end(how: Ending): void;
}

/**
 * As much of Postgres as finding a template and creating a task need: the current revision, whose number is its id, and the check of
 * `tasker.create_tasks`. Each statement happens, in one step, when the history ends it.
 */
export class HeldDatabase implements Database {
  #revision = 1;
  readonly #tasks = new Map<string, number>();
  readonly #held: Held[];
  readonly #template: TemplateName;
  readonly #checks: boolean;

  constructor(held: Held[], template: TemplateName, checks: boolean) {
    this.#held = held;
    this.#template = template;
    this.#checks = checks;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Makes another revision the current one, and returns its number. */
  commit(): number {
    this.#revision += 1;
    return this.#revision;
  }

  /** The revision that a task was created of. */
  revisionOf(taskId: string): number {
    return this.#tasks.get(taskId) ?? Number.NaN;
  }

  query<Row extends object>(statement: Statement): Promise<Row[]> {
    if (statement.text.includes("pg_notify")) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#held.push({
        end: (how) => {
          if (how === "failed") reject(new Error("Postgres is away"));
          // The rows of the three statements below, as their callers declare them.
          else resolve(this.#answer(statement) as Row[]);
        },
      });
    });
  }

  transaction(): Promise<never> {
    return Promise.reject(new Error("no history needs a transaction"));
  }

  usage(): PoolUsage {
    return { max: 1, used: 0, waiting: 0 };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #answer({ name, values = [] }: Statement): object[] {
    const revisionId = this.#revision;
    if (name === "create_tasks") return this.#create(Number(values[1]));
    if (name === "current_revision") return [{ namedTaskId: 1, namespaceId: 1, revisionId, stepCount: 1 }];
    return [{ ...this.#template, revisionId }];
  }

  #create(revisionId: number): object[] {
    if (this.#checks && revisionId !== this.#revision) return [{ outcome: "stale_revision" }];
    const id = String(this.#tasks.size);
    this.#tasks.set(id, revisionId);
    return [{ ordinal: 1, task_id: id, outcome: "created" }];
  }
}
