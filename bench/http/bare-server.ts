/** A bare Fastify route that sends the bytes of another server's answer. Prints its address. */
import { fastify } from "fastify";

const [source = ""] = process.argv.slice(2);
const body = Buffer.from(await (await fetch(source)).arrayBuffer());

const server = fastify();
const { pathname } = new URL(source);
server.get(pathname, (_, reply) => reply.header("content-type", "application/json; charset=utf-8").send(body));
console.log(`listening ${await server.listen({ host: "127.0.0.1", port: 0 })}`);
process.once("SIGTERM", () => void server.close());
