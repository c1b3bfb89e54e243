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
  /** Everything of `/api/models`, as JSON. */
  models(): unknown;
  readonly modelReloads: ModelReloads;
}

/** What can load models anew. */
export interface ModelReloads {
  /** Loads the models of that name anew in every worker. `under-way`: that is being done already; `unknown`: no worker has one. */
  reload(name: string): Promise<ModelReload | "under-way" | "unknown">;
}

/** What became of it, worker by worker, as `POST /api/models/NAME/reload` answers. */
export interface ModelReload {
  readonly name: string;
  readonly workers: readonly ReloadedModel[];
}

export interface ReloadedModel {
  /** The number of the worker. */
  readonly worker: number;
  readonly pid: number | undefined;
  /** How the model is run; absent where the worker gave no answer. */
  readonly kind?: string;
  /** The version that answered before. */
  readonly before?: string;
  /** The version that answers now. */
  readonly version?: string;
  /** Why it could not be loaded: the version before goes on. */
  readonly error?: string;
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
 * Starts the admin server: `/livez`, `/readyz`, `/metrics`, `/api/tasks` and `/api/models` only show; a POST to
 * `/api/models/NAME/reload` loads a model anew.
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
  app.get("/api/models", (c) => c.json(subject.models()));
  app.post("/api/models/:name/reload", async (c) => {
    if (isOfAnotherPage(c.req.header("sec-fetch-site"), c.req.header("origin"), c.req.header("host")))
      return c.text("pages of other sites can't change anything here\n", 403);
    const name = c.req.param("name");
    const done = await subject.modelReloads.reload(name);
    if (done === "unknown") return c.text(`no worker has a model "${name}"; /api/models lists them\n`, 404);
    if (done === "under-way") return c.text(`"${name}" is being loaded anew already\n`, 409);
    return c.json(done, done.workers.some(({ error }) => error !== undefined) ? 500 : 200);
  });
  app.notFound((c) => c.text("not found; there are /livez, /readyz, /metrics, /api/tasks and /api/models\n", 404));
  app.onError((error, c) => c.text(`${messageOf(error)}\n`, 500));
  return app;
}

/** Whether a browser sends it for a page that is not of this server: such a page could not read the answer, but would have its effect. */
function isOfAnotherPage(site: string | undefined, origin: string | undefined, host: string | undefined): boolean {
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  return origin !== undefined && origin !== `http://${host}`;
}

/** The name in a Host header, without its port and brackets. */
function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header);
  return (bracketed?.[1] ?? header.replace(/:\d*$/, "")).toLowerCase();
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
