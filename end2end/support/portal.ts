/**
 * Starts the real portal over a fresh state directory and ends it again.
 *
 * Everything behind it is real too: Nix builds the tiny image, libvirt and QEMU run it. `cargo xtask test` provides the
 * program, the site, the image flake and a private libvirt through the environment.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";
import { freshFlake, removeFlake } from "./flake";

/** A running portal. */
export interface Portal {
  /** Its origin. */
  url: string;
  /** Another origin that it accepts as its own, where nothing listens yet. */
  publicUrl: string;
  /** The one-time link for the first administrator; absent once there is one. */
  setupLink?: string;
  /** Its state directory. */
  state: string;
  /** Its process id. */
  pid: number;
  /** Its log file. */
  log: string;
}

/** What the environment must provide, and why. */
function need(name: string, why: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: ${why}. Run the browser tests with "cargo xtask test --only e2e".`);
  return value;
}

/** A loopback port that nothing uses at the moment. */
async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

let child: ChildProcess | undefined;

/** Starts a portal over `state`, or over a new directory, and waits until it reports that it is listening. */
export async function startPortal(state?: string, port?: number): Promise<Portal> {
  const program = need("SNOWGLOBE_SERVER", "the built server");
  const root = process.env.SNOWGLOBE_TEST_TMP ?? tmpdir();
  mkdirSync(root, { recursive: true });
  const dir = state ?? mkdtempSync(join(root, "snowglobe-e2e-"));
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  const publicUrl = `http://127.0.0.1:${await freePort()}`;
  const log = join(root, `portal-${listen.split(":")[1]}.log`);
  const out = openSync(log, "a");
  child = spawn(program, ["serve"], {
    env: {
      ...process.env,
      SNOWGLOBE_STATE: dir,
      SNOWGLOBE_LISTEN: listen,
      SNOWGLOBE_SITE: need("SNOWGLOBE_SITE", "the files for browsers"),
      SNOWGLOBE_PUBLIC_URL: publicUrl,
      SNOWGLOBE_IMAGE_FLAKE: freshFlake(need("SNOWGLOBE_TEST_IMAGE_FLAKE", "the tiny image's flake"), dir),
      SNOWGLOBE_HOSTS: process.env.SNOWGLOBE_TEST_LIBVIRT ?? "qemu:///system",
    },
    stdio: ["ignore", out, out],
  });
  const url = `http://${listen}`;
  // A portal that exits is noticed at once, however busy the computer is.
  for (let tries = 0; tries < 1800; tries++) {
    if (child.exitCode !== null) throw new Error(`the portal ended: ${readFileSync(log, "utf8").slice(-2000)}`);
    // Over a new state directory the last thing printed is the setup link; over a used one there is none.
    const said = readFileSync(log, "utf8");
    const told = said.includes("first administrator: ") || (state !== undefined && said.includes("listening at"));
    if (told && (await fetch(`${url}/healthz`).then((r) => r.ok, () => false))) {
      const setupLink = said.match(/Set up the first administrator: (\S+)/)?.[1];
      return { url, publicUrl, setupLink: setupLink?.replace(publicUrl, url), state: dir, pid: child.pid ?? 0, log };
    }
    await new Promise((r) => setTimeout(r, 100));
  }
  throw new Error(`the portal did not answer within three minutes: ${readFileSync(log, "utf8").slice(-2000)}`);
}

/** Ends the portal as Ctrl-C would, waits for it, and removes machines that a failed test left behind. */
export async function stopPortal(portal: Portal): Promise<void> {
  const process_ = child;
  if (process_ && process_.exitCode === null) {
    const ended = new Promise((resolve) => process_.once("exit", resolve));
    process_.kill("SIGTERM");
    await ended;
  }
  for (const name of virsh("list", "--all", "--name").split("\n").filter((n) => n.startsWith("e2e-"))) {
    try { virsh("destroy", name); } catch { /* It was off. */ }
    virsh("undefine", "--nvram", name);
  }
  if (process.env.SNOWGLOBE_TEST_KEEP) return;
  rmSync(portal.state, { recursive: true, force: true });
  removeFlake(portal.state);
}

/** Runs a command in a guest's shell, through its agent. */
export async function inGuest(machine: string, command: string): Promise<string> {
  const ask = (execute: string, given: object) =>
    JSON.parse(virsh("qemu-agent-command", machine, JSON.stringify({ execute, arguments: given }))).return;
  const { pid } = ask("guest-exec", { path: "/bin/sh", arg: ["-c", command], "capture-output": true });
  for (;;) {
    const status = ask("guest-exec-status", { pid });
    if (status.exited) return Buffer.from(status["out-data"] ?? "", "base64").toString("utf8");
    await new Promise((later) => setTimeout(later, 200));
  }
}

/** Asks libvirt directly, as someone in a shell would. */
export function virsh(...args: string[]): string {
  const uri = process.env.SNOWGLOBE_TEST_LIBVIRT ?? "qemu:///system";
  return execFileSync("virsh", ["-q", "-c", uri, ...args], { encoding: "utf8" }).trim();
}
