import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Scope } from "./database.ts";

/** A way to a server that a test can make slow, or break. Each change holds for the connections there are and those to come. */
export interface TcpProxy {
  readonly port: number;
  /** Connections that were taken so far. */
  readonly connections: number;
  /** Bytes go through, at once. The state at the start. */
  pass(): void;
  /** What the server answers arrives so much later, in its order; with `isSlow`, only what that is true of. */
  delay(ms: number, isSlow?: (bytes: Buffer) => boolean): void;
  /** Connections stay and new ones are taken, and nothing goes through in either direction. */
  blackHole(): void;
  /** Ends every connection, and each new one at once. */
  cut(): void;
}

type Mode =
  | { readonly kind: "pass" | "blackHole" | "cut" }
  | { readonly kind: "delay"; readonly ms: number; readonly isSlow: (bytes: Buffer) => boolean };

export interface ProxyOptions {
  /** Makes what hears the bytes of one connection's client, whether or not they go through. */
  readonly hear?: () => (bytes: Buffer) => void;
}

/** Listens on a free port of the loopback interface until the scope is over. */
export async function startProxy(
  scope: Scope,
  target: { readonly port: number },
  { hear }: ProxyOptions = {},
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let mode: Mode = { kind: "pass" };
  let connections = 0;
  const carry = (from: Socket, to: Socket, mayDelay: boolean): void => {
    // Whose turn comes early waits for those before it.
    const queue: { readonly bytes: Buffer; due: boolean }[] = [];
    const forward = (): void => {
      for (let [first] = queue; first?.due === true; [first] = queue) {
        queue.shift();
        if (mode.kind !== "blackHole" && to.writable) to.write(first.bytes);
      }
    };
    from.on("data", (bytes: Buffer) => {
      const isSlow = mode.kind === "delay" && mayDelay && mode.isSlow(bytes);
      const item = { bytes, due: !isSlow };
      queue.push(item);
      const fallDue = (): void => {
        item.due = true;
        forward();
      };
      if (isSlow && mode.kind === "delay") setTimeout(fallDue, mode.ms).unref();
      else forward();
    });
    from.on("error", () => undefined);
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    connections += 1;
    if (mode.kind === "cut") {
      client.destroy();
      return;
    }
    const upstream = connect(target.port, "127.0.0.1");
    sockets.add(client).add(upstream);
    if (hear !== undefined) client.on("data", hear());
    carry(client, upstream, false);
    carry(upstream, client, true);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  scope.after(async () => {
    server.close();
    end();
  });
  return {
    port: address.port,
    get connections() {
      return connections;
    },
    pass: () => void (mode = { kind: "pass" }),
    delay: (ms, isSlow = () => true) => void (mode = { kind: "delay", ms, isSlow }),
    blackHole: () => void (mode = { kind: "blackHole" }),
    cut() {
      mode = { kind: "cut" };
      end();
    },
  };
}
