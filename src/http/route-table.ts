import { sendProblem } from "./problem.ts";
import type { Shell } from "./shell.ts";

/** The routes of a shell, collected while they are added. */
export class RouteTable {
  readonly #shell: Shell;
  readonly #methods = new Map<string, Set<string>>();
  #complete = false;

  constructor(shell: Shell) {
    this.#shell = shell;
    shell.addHook("onRoute", ({ url, method }) => {
      if (this.#complete) return;
      const methods = this.#methods.get(url) ?? new Set();
      this.#methods.set(url, methods);
      for (const one of [method].flat()) methods.add(one);
    });
  }

  /** As `GET /v1/tasks/{task}`, in the order in which they were added. */
  list(): string[] {
    return [...this.#methods].flatMap(([url, methods]) => {
      const path = url.replaceAll(/:(\w+)/gu, "{$1}");
      return [...methods].filter((method) => method !== "HEAD").map((method) => `${method} ${path}`);
    });
  }

  /** Ends the collection: every other method of a known path is refused with 405. */
  refuseOtherMethods(): void {
    this.#complete = true;
    for (const [url, methods] of this.#methods) {
      const allow = [...methods].join(", ");
      this.#shell.route({
        url,
        method: this.#shell.supportedMethods.filter((method) => !methods.has(method)),
        // Before the body is looked at.
        onRequest: (request, reply) => {
          reply.header("allow", allow);
          void sendProblem(request, reply, { code: "method_not_allowed", detail: `This path takes ${allow}` });
        },
        handler: () => undefined,
      });
    }
  }
}
