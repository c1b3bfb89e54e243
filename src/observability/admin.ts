import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";

import { InfrastructureError, messageOf } from "../errors.ts";

/** What the admin server shows. */
export interface AdminSubject {
  /** Everything of `/api/tasks`, as JSON. */
  tasks(): unknown;
  /** What is not ready, each with its reason; none when all is. */
  notReady(): readonly NotReady[];
  /** Prometheus text. */
  metrics(): Promise<string>;
}

export interface NotReady {
  /** `worker 2`, `task bids`. */
  readonly what: string;
  readonly why: string;
}

export interface AdminServer extends AsyncDisposable {
  /** `http://127.0.0.1:9464`. */
  readonly url: string;
}

/**
 * Starts the admin server: `/livez`, `/readyz`, `/metrics`, `/api/tasks`. It only shows; it changes nothing.
 * @param at port 0: any free one
 * @throws {InfrastructureError} when the address can't be listened on
 */
export async function startAdmin(subject: AdminSubject, at: { readonly host: string; readonly port: number }): Promise<AdminServer> {
  const server = createAdaptorServer({ fetch: routes(subject, at.host).fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(error, at)));
    server.listen(at.port, at.host, resolve);
  });
  server.on("error", () => undefined);
  const { port } = server.address() as AddressInfo;
  const host = at.host.includes(":") ? `[${at.host}]` : at.host;
  return {
    url: `http://${host}:${port}`,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function cannotListen(error: NodeJS.ErrnoException, at: { readonly host: string; readonly port: number }): InfrastructureError {
  const where = `the admin server can't listen on ${at.host}:${at.port}`;
  const why = error.code === "EADDRINUSE" ? "the port is in use; set admin.port to another, or to 0 for any free one" : messageOf(error);
  return new InfrastructureError(`${where}: ${why}`, { cause: error });
}

function routes(subject: AdminSubject, host: string): Hono {
  const app = new Hono();
  if (isLoopback(host)) {
    // A page in a browser on this machine may have had its own name point here (DNS rebinding): its Host header tells.
    app.use(async (c, next) => {
      if (!isLoopback(hostName(c.req.header("host") ?? ""))) return c.text("this server answers only to local names\n", 403);
      await next();
      return undefined;
    });
  }
  app.get("/livez", (c) => c.text("ok\n"));
  app.get("/readyz", (c) => {
    const notReady = subject.notReady();
    return c.json({ ready: notReady.length === 0, notReady }, notReady.length === 0 ? 200 : 503);
  });
  app.get("/metrics", async (c) => c.body(await subject.metrics(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }));
  app.get("/api/tasks", (c) => c.json(subject.tasks()));
  app.notFound((c) => c.text("not found; there are /livez, /readyz, /metrics and /api/tasks\n", 404));
  app.onError((error, c) => c.text(`${messageOf(error)}\n`, 500));
  return app;
}

/** The name in a Host header, without its port and brackets. */
function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header);
  return (bracketed?.[1] ?? header.replace(/:\d*$/, "")).toLowerCase();
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
