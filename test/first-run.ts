// Types the README's `npm start`, waits for what it promises within 30 seconds, and ends it with Ctrl-C.
import { spawn } from "node:child_process";

const limitMs = 30_000;
const questions = ["performance?hours=1", "bottlenecks?hours=1&min_executions=1"];

const startedMs = performance.now();
// In a group of its own, which gets the Ctrl-C as a terminal's would.
const child = spawn("npm", ["start"], { stdio: ["ignore", "pipe", "inherit"], detached: true });
let output = "";
child.stdout.setEncoding("utf8").on("data", (text: string) => {
  process.stdout.write(text);
  output += text;
});
const ended = new Promise<void>((resolve) => {
  child.once("close", () => resolve());
});

try {
  const address = await Promise.race([ready(), late()]);
  for (const question of questions) await askTwice(address, question);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`== both answers, and both from the cache, ${seconds} s after npm start`);
  signalGroup("SIGINT");
  await ended;
  // npm itself dies of the signal, so that its code says nothing.
  if (!output.includes("stopped; your data is in")) throw new Error("Ctrl-C did not stop it cleanly");
} catch (error) {
  console.error(`first run failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
  signalGroup("SIGKILL");
}

/** The address, once the first batch is over and the two curl lines stand there. */
function ready(): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout.on("data", () => {
      const address = /http:\/\/127\.0\.0\.1:\d+/u.exec(output)?.[0];
      if (address !== undefined && output.includes("curl")) resolve(address);
    });
    void ended.then(() => reject(new Error("npm start ended before it was ready")));
  });
}

function late(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${limitMs / 1000} s of npm start`)), limitMs).unref();
  });
}

/** The answer is about tasks that ended; asked again, the same bytes come from the cache. */
async function askTwice(address: string, question: string): Promise<void> {
  const [first, second] = [await get(address, question), await get(address, question)];
  const answer: unknown = JSON.parse(first.body);
  if (!tellsOfEndedTasks(answer)) throw new Error(`${question}: no task has ended`);
  if (!second.status.startsWith("tasker; hit")) throw new Error(`${question}: the second answer says ${second.status}`);
  if (first.body !== second.body) throw new Error(`${question}: the second answer has other bytes`);
}

function tellsOfEndedTasks(answer: unknown): boolean {
  if (typeof answer !== "object" || answer === null) return false;
  if ("completed_tasks" in answer) return Number(answer.completed_tasks) > 0;
  return "slow_tasks" in answer && Array.isArray(answer.slow_tasks) && answer.slow_tasks.length > 0;
}

async function get(address: string, question: string): Promise<{ readonly body: string; readonly status: string }> {
  const response = await fetch(`${address}/v1/analytics/${question}`);
  const body = await response.text();
  if (response.status !== 200) throw new Error(`${question}: ${response.status} ${body}`);
  return { body, status: response.headers.get("cache-status") ?? "" };
}

function signalGroup(signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // The whole group has ended already.
  }
}
