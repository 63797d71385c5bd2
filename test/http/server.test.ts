import assert from "node:assert/strict";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { describe, test } from "node:test";

import { PortInUseError, UnauthenticatedAccessError } from "../../src/http/errors.ts";
import { type Deferred, deferred } from "../support/deferred.ts";
import { httpSystem, type HttpSystem } from "./setup.ts";

const someTask = "/v1/tasks/019a0000-0000-7000-8000-000000000000";

describe("the server", () => {
  test("listens on the address it tells, until it is stopped; both twice is no harm; it can be started again", async (t) => {
    const { server } = await httpSystem(t);
    assert.equal(server.address, undefined);
    for (let round = 0; round < 2; round++) {
      await Promise.all([server.start(), server.start()]);
      const address = addressOf(server);
      assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/u);
      assert.equal((await fetch(`${address}/health/live`)).status, 200);
      await Promise.all([server.stop(), server.stop()]);
      assert.equal(server.address, undefined);
      await assert.rejects(fetch(`${address}/health/live`));
    }
    await server.stop();
  });

  test("says so when its port is in use, and how to choose another", async (t) => {
    const first = await httpSystem(t);
    await first.server.start();
    const port = Number(new URL(addressOf(first.server)).port);
    const { server } = await httpSystem(t, { port, host: "localhost" });
    await assert.rejects(server.start(), (error) => {
      assert.ok(error instanceof PortInUseError);
      assert.equal(error.code, "port_in_use");
      assert.ok(error.message.startsWith(`Port ${port} of localhost is in use`), error.message);
      assert.match(error.message, /\[http\] port .*TASKER_HTTP_PORT/u);
      return true;
    });
    assert.equal(server.address, undefined);
    await first.server.stop();
    await server.start();
    assert.equal((await fetch(`${addressOf(server)}/health/live`)).status, 200);
  });

  test("will not let everybody in unless it is told to, and then warns", async (t) => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.com", "127.evil", "1.127.0.0"]) {
      const { server } = await httpSystem(t, { host });
      await assert.rejects(server.start(), (error) => {
        assert.ok(error instanceof UnauthenticatedAccessError);
        assert.ok(error.message.includes(`will not listen on ${host}`));
        assert.match(error.message, /\[http\] allow_unauthenticated = true/u);
        return true;
      });
    }
    const { server, log } = await httpSystem(t, { host: "0.0.0.0", allowUnauthenticated: true });
    await server.start();
    assert.match(log.find(({ level }) => level === "warn")?.message ?? "", /^ANYONE/u);
  });

  test("answers what is no HTTP with a problem", async (t) => {
    const { server } = await httpSystem(t);
    await server.start();
    assert.match(await raw(server, "GARBAGE\r\n\r\n"), /^HTTP\/1\.1 400 .*"code":"malformed_request"/su);
    const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`;
    assert.match(await raw(server, long), /^HTTP\/1\.1 431 .*"code":"headers_too_large"/su);
    assert.match(await raw(server, "GET / HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 403 .*"code":"forbidden_host"/su);
    const short =
      "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert.match(await raw(server, short), /^HTTP\/1\.1 400 .*"code":"malformed_request"/su);
  });

  test("gives up a request that does not arrive in time", async (t) => {
    const { server } = await httpSystem(t, { requestTimeoutMs: 100 });
    await server.start();
    const half =
      "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    assert.match(await raw(server, half), /^HTTP\/1\.1 408 .*"code":"request_timeout"/su);
  });
});

describe("a stop", () => {
  test("lets a request under way finish, and does not wait for the connection that it leaves behind", async (t) => {
    const system = await httpSystem(t);
    const { gate, asked } = holdDatabase(system);
    await system.server.start();
    const address = addressOf(system.server);
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const answer = status(`${address}${someTask}`, agent);
    await asked;
    const idle = await status(`${address}/health/live`, agent);
    assert.equal(idle.code, 200);

    const stopped = system.server.stop();
    // From here on nothing is accepted; the request goes on.
    while (await accepts(address));
    gate.resolve();
    assert.deepEqual(await answer, { code: 404, connection: "close" });
    // Its deadline never comes: the clock stands still.
    await stopped;
  });

  test("cuts off what does not finish within its deadline", async (t) => {
    const system = await httpSystem(t, { shutdownTimeoutMs: 5_000 });
    const { gate, asked } = holdDatabase(system);
    t.after(() => gate.resolve());
    await system.server.start();
    const answer = assert.rejects(status(`${addressOf(system.server)}${someTask}`, new Agent()));
    await asked;
    const stopped = system.server.stop();
    await system.clock.advance(5_000);
    await answer;
    await stopped;
    assert.ok(system.log.some(({ message }) => message.includes("cut off")));
  });
});

function addressOf(server: HttpSystem["server"]): string {
  assert.ok(server.address !== undefined);
  return server.address;
}

/** From now on the database waits for the gate; `asked` resolves when the first has asked it. */
function holdDatabase({ faults }: HttpSystem): { readonly gate: Deferred<void>; readonly asked: Promise<void> } {
  const gate = deferred();
  const asked = deferred();
  faults.hold = () => {
    asked.resolve();
    return gate.promise;
  };
  return { gate, asked: asked.promise };
}

function status(url: string, agent: Agent): Promise<{ code: number | undefined; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      response.resume();
      response.on("end", () => resolve({ code: response.statusCode, connection: response.headers.connection }));
    });
    request.on("error", reject);
  });
}

function accepts(address: string): Promise<boolean> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

/** Sends bytes and resolves to all that comes back until the server closes. */
function raw(server: HttpSystem["server"], text: string): Promise<string> {
  const { hostname, port } = new URL(addressOf(server));
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      received += chunk;
    });
    socket.on("error", reject).on("close", () => resolve(received));
  });
}
