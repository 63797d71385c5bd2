/** A process that answers the same bytes by nothing but a Fastify route. */
import { fastify } from "fastify";

import { report, told } from "../support/child.ts";
import { isServeBare } from "./protocol.ts";

const { path, contentType, body } = await told(isServeBare);
const server = fastify();
server.get(path, (_request, reply) => reply.header("content-type", contentType).send(body));
const origin = await server.listen({ host: "127.0.0.1", port: 0 });
process.once("SIGTERM", () => {
  void server.close().then(() => process.exit(0));
});
report({ origin });
