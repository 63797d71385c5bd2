import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Scope } from "../support/database.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";

export interface MemberOptions {
  readonly databaseUrl: string;
  readonly redisPort: number;
}

export type MemberRequest =
  | { readonly do: "register"; readonly attempts: number }
  /** From now on the tasks that are created must be of this revision or a newer one. */
  | { readonly do: "atLeast"; readonly revision: number }
  /** So many loops, every other of which creates tasks; the rest read. */
  | { readonly do: "start"; readonly readers: number }
  | { readonly do: "stop" | "report" | "end" };

export interface MemberReport {
  created: number;
  /** Those of them that were begun after the last `atLeast`, and none was told since. */
  createdAtLeast: number;
  readonly failures: string[];
  /** Reads that redis answered. */
  hits: number;
}

/** The template that is registered again and again. */
export const stormed = { namespace: "system", name: "stormed", version: "1.0.0" };

/** A process, and its own way to redis. */
export class TemplateMember {
  readonly proxy: TcpProxy;
  readonly #child: ChildProcess;
  /** Requests are answered in the order in which they are sent: one at a time. */
  #last: Promise<unknown>;

  constructor(child: ChildProcess, proxy: TcpProxy) {
    this.#child = child;
    this.proxy = proxy;
    this.#last = once(child, "message");
  }

  async ready(): Promise<void> {
    await this.#last;
  }

  ask(request: MemberRequest): Promise<MemberReport> {
    const answered = this.#last.then(async () => {
      const answer = once(this.#child, "message");
      this.#child.send(request);
      // What template-member.ts sends.
      return (await answer)[0] as MemberReport;
    });
    this.#last = answered;
    return answered;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

/** Starts a process for each proxy. They are gone after the scope. */
export async function startTemplateMembers(
  scope: Scope,
  databaseUrl: string,
  proxies: readonly TcpProxy[],
): Promise<TemplateMember[]> {
  const program = join(import.meta.dirname, "template-member.ts");
  const members = proxies.map((proxy) => {
    const options: MemberOptions = { databaseUrl, redisPort: proxy.port };
    const child = fork(program, [JSON.stringify(options)], {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    return new TemplateMember(child, proxy);
  });
  scope.after(async () => void (await Promise.all(members.map((member) => member.end()))));
  await Promise.all(members.map((member) => member.ready()));
  return members;
}
