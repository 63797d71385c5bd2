import type { InjectOptions, LightMyRequestResponse } from "fastify";
import type { AddressInfo } from "node:net";

import type { Service } from "../runtime/lifecycle.ts";
import { isLoopbackHost } from "./addressees.ts";
import { PortInUseError, UnauthenticatedAccessError } from "./errors.ts";
import type { HttpServerOptions } from "./options.ts";
import { addRoutes } from "./routes.ts";
import { createShell, type Shell } from "./shell.ts";

export type { HealthCheck, HealthReport, HttpServerOptions } from "./options.ts";

/** The HTTP API of one process. */
export interface HttpServer extends Service {
  /** Where it listens, as in `http://127.0.0.1:8080`; undefined while it does not. */
  readonly address: string | undefined;
  /** Sends a request down the whole path of one, without a socket; a text is a path to GET. It need not listen. */
  inject(request: InjectOptions | string): Promise<LightMyRequestResponse>;
}

/**
 * Makes the server; `start` listens.
 *
 * `start` rejects with PortInUseError, and with UnauthenticatedAccessError for a host that is not loopback while
 * `allowUnauthenticated` is false. `stop` accepts nothing new, lets requests under way finish within `shutdownTimeoutMs`
 * and closes the connections that are left; the server may then be started again.
 */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  return new FastifyHttpServer(options);
}

class FastifyHttpServer implements HttpServer {
  readonly name = "http server";
  readonly #options: HttpServerOptions;
  #shell: Shell | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #address: string | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  get address(): string | undefined {
    return this.#address;
  }

  async inject(request: InjectOptions | string): Promise<LightMyRequestResponse> {
    return this.#ready().inject(request);
  }

  async start(): Promise<void> {
    await this.#stopping;
    this.#starting ??= this.#listen().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    await this.#starting;
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#close().finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  #ready(): Shell {
    if (this.#shell === undefined) {
      const { shell, traffic } = createShell(this.#options);
      addRoutes(shell, traffic, this.#options);
      this.#shell = shell;
    }
    return this.#shell;
  }

  async #listen(): Promise<void> {
    const { host, port, allowUnauthenticated, logger } = this.#options;
    if (!isLoopbackHost(host)) {
      if (!allowUnauthenticated) throw new UnauthenticatedAccessError(host);
      logger.warn(
        { host, port },
        "ANYONE who can reach this address may read and create tasks: requests carry no credentials ([http] allow_unauthenticated)",
      );
    }
    const shell = this.#ready();
    try {
      // One address for one name: Fastify would open a second server for ::1, whose requests no stop waits for.
      await shell.listen({ host: host === "localhost" ? "127.0.0.1" : host, port });
    } catch (error) {
      throw isPortInUse(error) ? new PortInUseError(host, port, { cause: error }) : error;
    }
    this.#address = urlOf(shell.server.address());
    logger.info({ address: this.#address }, "the HTTP API listens");
  }

  async #close(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    const { clock, shutdownTimeoutMs, logger } = this.#options;
    const shell = this.#shell;
    this.#shell = undefined;
    this.#starting = undefined;
    this.#address = undefined;
    if (shell === undefined) return;
    const { server } = shell;
    const deadline = clock.schedule(shutdownTimeoutMs, () => {
      logger.warn({ shutdownTimeoutMs }, "requests that did not finish in time are cut off");
      server.closeAllConnections();
    });
    try {
      await shell.close();
    } catch (error) {
      logger.error({ err: error }, "the HTTP API did not close cleanly");
    } finally {
      deadline.cancel();
    }
  }
}

function isPortInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}

function urlOf(address: AddressInfo | string | null): string | undefined {
  if (address === null || typeof address === "string") return undefined;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
