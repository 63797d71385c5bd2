// Types the README's `npm start`, waits for what it promises within 30 seconds, and ends it with Ctrl-C.
import { spawn } from "node:child_process";

const started = performance.now();
const child = spawn("npm", ["start"], { stdio: ["ignore", "pipe", "inherit"], detached: true });
const stop = (signal) => process.kill(-child.pid, signal);
const deadline = setTimeout(() => fail("no cached answer within 30 s of npm start"), 30_000);
let output = "";
let seen = false;

child.stdout.on("data", (chunk) => {
  process.stdout.write(chunk);
  output += chunk;
  const address = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0];
  if (!seen && address !== undefined && output.includes("curl")) {
    seen = true;
    ask(address).then(() => stop("SIGINT"), (error) => fail(error.message));
  }
});

child.once("exit", (code) => {
  clearTimeout(deadline);
  if (!seen || code !== 0) fail(`npm start ended with ${code}${seen ? " after Ctrl-C" : " before it was ready"}`);
});

/** Both answers are about tasks that ended; asked again, the same bytes come from the cache. */
async function ask(address) {
  for (const path of ["performance?hours=1", "bottlenecks?hours=1&min_executions=1"]) {
    const [first, second] = [await get(address, path), await get(address, path)];
    const answer = JSON.parse(first.body);
    const ended = answer.completed_tasks ?? answer.slow_tasks.length;
    if (!(ended > 0)) throw new Error(`${path}: no task has ended`);
    if (!/^tasker; hit/.test(second.status)) throw new Error(`${path}: the second answer says "${second.status}"`);
    if (first.body !== second.body) throw new Error(`${path}: the second answer has other bytes`);
  }
  clearTimeout(deadline);
  console.log(`== both answers, and both from the cache, ${((performance.now() - started) / 1000).toFixed(1)} s after npm start`);
}

async function get(address, path) {
  const response = await fetch(`${address}/v1/analytics/${path}`);
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return { body: await response.text(), status: response.headers.get("cache-status") ?? "" };
}

function fail(message) {
  console.error(`first run failed: ${message}`);
  process.exitCode = 1;
  try {
    stop("SIGKILL");
  } catch {
    // It has ended already.
  }
}
