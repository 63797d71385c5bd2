/**
 * A load on servers, in a process of its own: so many requests under way at any time, as its first argument says. Tells, when asked,
 * what became of them since it was asked before.
 */
import { Agent, request } from "node:http";
import type { Load, LoadOptions } from "./http-load-process.ts";

// Written by http-load-process.ts.
const { servers, paths, connections } = JSON.parse(process.argv[2] ?? "{}") as LoadOptions;
const agent = new Agent({ keepAlive: true });
let load = empty();

process.on("message", () => {
  process.send?.(load);
  load = empty();
});

for (let number = 0; number < connections; number += 1) void client(number);

function empty(): Load {
  return { answered: 0, failed: {}, answers: {} };
}

/** Asks one server for one path after the other; the clients begin at different ones. */
async function client(number: number): Promise<void> {
  const server = servers[number % servers.length] ?? "";
  for (let turn = number; ; turn += 1) {
    const path = paths[turn % paths.length] ?? "";
    const outcome = await ask(server, path);
    load.answered += 1;
    if (outcome.status !== "200") load.failed[outcome.status] = (load.failed[outcome.status] ?? 0) + 1;
    const calculatedAt = /"calculated_at":"([^"]+)"/u.exec(outcome.body)?.[1];
    if (calculatedAt !== undefined) {
      const name = `${servers.indexOf(server)} ${path}`;
      const seen = (load.answers[name] ??= []);
      if (!seen.includes(calculatedAt)) seen.push(calculatedAt);
    }
  }
}

function ask(server: string, path: string): Promise<{ readonly status: string; readonly body: string }> {
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve({ status: error.message, body: "" });
    const asked = request(new URL(path, server), { agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("error", failed);
      response.on("end", () => resolve({ status: String(response.statusCode), body }));
    });
    asked.on("error", failed).end();
  });
}
