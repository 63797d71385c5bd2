import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A program of ours in a process of its own. */
export interface Child<Report> {
  /** What it reported first. */
  readonly report: Report;
  /** Asks it, when it answers questions. One at a time. */
  ask<Reply>(isReply: (message: unknown) => message is Reply, question?: object): Promise<Reply>;
  /** Ends it and waits for that. */
  stop(): Promise<void>;
}

/**
 * Starts a TypeScript program, tells it something, and waits for its report.
 *
 * @throws when it ends without a report; what it wrote stands on standard error
 */
export async function startChild<Report>(
  file: string,
  message: object,
  isReport: (message: unknown) => message is Report,
): Promise<Child<Report>> {
  const child = fork(file, { execArgv: ["--import", "tsx"], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const reported = once(child, "message").then(([first]: unknown[]) => first);
  const ended = once(child, "exit").then(([code]: unknown[]) =>
    Promise.reject(new Error(`${file} ended with ${String(code)}`)),
  );
  child.send(message);
  const first = await Promise.race([reported, ended]);
  // It ends when it is told to; nobody waits for the rejection any more.
  ended.catch(() => {});
  if (!isReport(first)) throw new Error(`${file} reported ${JSON.stringify(first)}`);
  return {
    report: first,
    async ask(isReply, question = {}) {
      const replied = once(child, "message");
      child.send(question);
      const replies: readonly unknown[] = await Promise.race([replied, ended]);
      const [reply] = replies;
      if (!isReply(reply)) throw new Error(`${file} replied ${JSON.stringify(reply)}`);
      return reply;
    },
    stop: () => stopChild(child),
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** In the child: what the parent tells it. */
export async function told<Message>(isMessage: (message: unknown) => message is Message): Promise<Message> {
  const messages: readonly unknown[] = await once(process, "message");
  const [message] = messages;
  if (!isMessage(message)) throw new Error(`told ${JSON.stringify(message)}`);
  return message;
}

/** In the child: reports to the parent. */
export function report(message: object): void {
  process.send?.(message);
}

/** In the child: from now on each question of the parent is answered so. A failure ends the child. */
export function answerWith(answer: (question: unknown) => object | Promise<object>): void {
  process.on("message", (question) => void Promise.resolve(answer(question)).then(report));
}
