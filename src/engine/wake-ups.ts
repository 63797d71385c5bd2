import type { Sql } from "../postgres/sql.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logging.ts";
import type { TemplateName } from "../workflow/template.ts";
import { newId } from "./ids.ts";

/**
 * The channel on which processes tell each other: `work:` and a namespace's id, with `:` and the sender's id when that has told its own
 * workers already; `cancelled:` and a task's id; `template:` and the namespace, name and version of a template that has a new revision.
 */
export const noticeChannel = "tasker";

export type Notice =
  | { readonly kind: "work"; readonly id: string; readonly sender: string | undefined }
  | { readonly kind: "cancelled"; readonly id: string }
  | { readonly kind: "template"; readonly template: TemplateName };

/** What a notice on the channel says; null when it is none of ours. */
export function parseNotice(payload: string): Notice | null {
  const [kind, ...parts] = payload.split(":");
  if (kind === "work") return { kind, id: parts[0] ?? "", sender: parts[1] };
  if (kind === "cancelled") return { kind, id: parts[0] ?? "" };
  const [namespace, name, version, ...more] = parts;
  if (kind !== "template" || namespace === undefined || name === undefined || version === undefined) return null;
  return more.length > 0 ? null : { kind, template: { namespace, name, version } };
}

/**
 * Tells every process, when the transaction commits, that a template has a new revision. No name of a template has a colon, and
 * their bounds (265 characters in all) are far below what a notice may carry (8000 bytes).
 */
export async function notifyTemplate(sql: Sql, { namespace, name, version }: TemplateName): Promise<void> {
  await sql.query({
    text: "select pg_notify($1, $2)",
    values: [noticeChannel, ["template", namespace, name, version].join(":")],
  });
}

/** NOTIFY takes a lock of the whole cluster at commit: no more than one per namespace in this time. */
const gapMs = 5;

/** Called in this process with the ids of namespaces in which steps became claimable. */
type Listener = (namespaceIds: readonly number[]) => void;

/**
 * Tells workers that there is work: those of this process at once, others by NOTIFY, sent after the commit.
 *
 * A wake-up that is lost costs latency only: workers also poll.
 */
export class WakeUps {
  /** What this process' notices are known by to itself. */
  readonly senderId: string = newId();
  readonly #sql: Sql;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<Listener>();
  readonly #due = new Set<number>();
  #scheduled = false;
  #closed = false;
  #failing = false;

  constructor(sql: Sql, clock: Clock, logger: Logger) {
    this.#sql = sql;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Calls `listener` for each wake-up of this process. Returns the function that ends it. */
  onWork(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Wakes this process' workers at once and the others' within a few milliseconds. */
  wake(namespaceIds: readonly number[]): void {
    if (namespaceIds.length === 0) return;
    for (const listener of this.#listeners) listener(namespaceIds);
    for (const id of namespaceIds) this.#due.add(id);
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#clock.schedule(gapMs, () => void this.#send(), { unref: true });
  }

  /** Wakes all from within a caller's transaction, this process too: the notice is sent when that commits. */
  static async notifyWithin(sql: Sql, namespaceIds: readonly number[]): Promise<void> {
    await notifyOfWork(sql, namespaceIds, "");
  }

  /** Sends nothing from now on: the database is about to be closed. */
  close(): void {
    this.#closed = true;
  }

  async #send(): Promise<void> {
    if (this.#closed) return;
    const ids = [...this.#due];
    this.#due.clear();
    this.#scheduled = false;
    try {
      await notifyOfWork(this.#sql, ids, `:${this.senderId}`);
      this.#failing = false;
    } catch (error) {
      // Survived: other workers find the steps when they poll.
      if (!this.#failing)
        this.#logger.warn({ err: error }, "wake-ups cannot be sent; workers elsewhere fall back to polling");
      this.#failing = true;
    }
  }
}

async function notifyOfWork(sql: Sql, namespaceIds: readonly number[], ending: string): Promise<void> {
  await sql.query({
    text: "select pg_notify($1, 'work:' || id || $3) from unnest($2::integer[]) id",
    values: [noticeChannel, namespaceIds, ending],
  });
}
