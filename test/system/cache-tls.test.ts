import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCertificates } from "../support/certificates.ts";
import { testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { startServer } from "./cache-servers.ts";

test("redis over TLS is used by a server that is given its authority, and by no other: the reason is named, the password is not", async (t) => {
  const { url: databaseUrl } = await testDatabase(t);
  const { authority, certificate, key } = makeCertificates(t);
  const port = String(await freePort());
  const tls = ["--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
  const redis = await startRedis(t, { args: [...tls, "--tls-ca-cert-file", authority] });
  await redis.admin.config("SET", "requirepass", "s3cret");
  const redisUrl = `rediss://:s3cret@127.0.0.1:${port}`;
  const env = { NODE_EXTRA_CA_CERTS: authority };
  const [trusting, doubting, mistaken] = await Promise.all([
    startServer(t, { databaseUrl, redisUrl, env }),
    startServer(t, { databaseUrl, redisUrl }),
    // The certificate is for the address, not for the name.
    startServer(t, { databaseUrl, redisUrl: redisUrl.replace("127.0.0.1", "localhost"), env }),
  ]);
  await eventually(
    "the server that knows the authority uses redis",
    () => trusting.figures(),
    ({ since }) => since === undefined,
  );
  for (const server of [doubting, mistaken]) {
    const { reason } = await eventually(
      "the others do not",
      () => server.figures(),
      ({ since }) => since !== undefined,
    );
    assert.equal(reason, "Redis is not used: certificate");
  }
  for (const { url, process } of [trusting, doubting, mistaken]) {
    const response = await fetch(`${url}/v1/analytics/performance`);
    assert.equal(response.status, 200);
    await response.arrayBuffer();
    const told = [...process.logLines, await (await fetch(`${url}/health`)).text()].join("\n");
    assert.doesNotMatch(told, /s3cret/u);
  }
  await redis.admin.auth("s3cret");
  assert.equal(await redis.admin.exists("tasker:analytics:performance:24"), 1);
});
