import assert from "node:assert/strict";
import { test } from "node:test";

import { createLogger, redactUrl, silentLogger, type Logger, type LoggerOptions } from "../../src/runtime/logging.ts";

function capture(options: Partial<LoggerOptions> = {}): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { logger: createLogger({ level: "info", destination, ...options }), lines };
}

test("redactUrl hides the password and nothing else", () => {
  assert.equal(redactUrl("postgres://app:secret@db:5432/tasker"), "postgres://app:***@db:5432/tasker");
  assert.equal(redactUrl("redis://:secret@cache:6379/0"), "redis://:***@cache:6379/0");
  assert.equal(redactUrl("postgres://app:p@ss:w/rd@db/x"), "postgres://app:***@db/x");
  assert.equal(redactUrl("postgres:///x?host=/run&password=secret&a=1"), "postgres:///x?host=/run&password=***&a=1");
});

test("redactUrl leaves a text without credentials alone", () => {
  for (const text of [
    "",
    "plain",
    "postgres://db:5432/tasker",
    "postgres://app@db/tasker",
    "http://[::1]:8080/a?b=c",
  ]) {
    assert.equal(redactUrl(text), text);
  }
});

test("redactUrl finds every URL in a text", () => {
  assert.equal(
    redactUrl("cannot reach postgres://a:secret@x/y nor redis://b:secret@z"),
    "cannot reach postgres://a:***@x/y nor redis://b:***@z",
  );
});

test("no secret reaches the log, wherever it stands", () => {
  const url = "postgres://app:hunter2@db/tasker";
  for (const pretty of [false, true]) {
    const { logger, lines } = capture({ pretty });
    logger.info(`connecting to ${url}`);
    logger.info({ url, nested: { url: [url] } }, "connecting");
    logger.info({ password: "hunter2", options: { password: "hunter2", token: "hunter2" } }, "options");
    logger.info({ request: { headers: { authorization: "hunter2", "x-api-key": "hunter2" } } }, "request");
    logger.warn({ err: new Error(`cannot reach ${url}`, { cause: new Error(url) }) }, "failed");
    logger.warn({ err: Object.assign(new Error("WRONGPASS"), { command: { name: "auth", args: ["hunter2"] } }) });
    assert.equal(lines.length, 6);
    assert.doesNotMatch(lines.join(""), /hunter2/u);
  }
});

test("lines are JSON that machines read", () => {
  const { logger, lines } = capture();
  logger.warn({ taskId: "t1", password: "x", url: "redis://a:b@c" }, "slow");
  const line = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
  assert.equal(typeof line["time"], "string");
  delete line["time"];
  assert.deepEqual(line, { level: "warn", taskId: "t1", password: "***", url: "redis://a:***@c", msg: "slow" });
});

test("pretty lines are for people", () => {
  const { logger, lines } = capture({ pretty: true });
  logger.info({ port: 8080, host: "localhost" }, "listening");
  assert.match(lines[0] ?? "", /^\d\d:\d\d:\d\d INFO  listening port=8080 host=localhost\n$/u);
});

test("what is below the level is not written", () => {
  const { logger, lines } = capture({ level: "error" });
  logger.warn("no");
  logger.error("yes");
  assert.equal(lines.length, 1);
  silentLogger.error("nowhere");
});
