/**
 * Changing a machine that runs: what is applied at once, what waits for a restart, and who else was editing. A real guest with a
 * real SSH server says what is true.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import {
  accessible, ada, describeMachine, fitsWindow, jobDone, login, newPerson, purge, url,
} from "../support/people";
import { virsh } from "../support/portal";

test.describe.configure({ mode: "serial" });

const machine = "e2e-configured";
let context: BrowserContext;
let page: Page;
let keys: string;
let address: string;

/** Makes a key pair and answers the public key. */
function newKey(name: string): string {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", join(keys, name)]);
  return readFileSync(join(keys, `${name}.pub`), "utf8").trim();
}

/** Runs a command in the guest as `admin`, logging in with this key; `undefined` when the key is refused. */
function ssh(key: string, command: string): string | undefined {
  const options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=30"];
  const all = options.flatMap((option) => ["-o", option]);
  const done = spawnSync("ssh", ["-F", "none", ...all, "-i", join(keys, key), `admin@${address}`, command], { encoding: "utf8" });
  if (done.status === 0) return done.stdout;
  expect(done.stderr).toContain("Permission denied");
  return undefined;
}

const configuration = () => `${url()}/machines/${machine}/configuration`;
const save = (on: Page) => on.getByRole("button", { name: "Save configuration" }).click();
const plan = (on: Page) => on.locator("#plan-place");
const pending = (on: Page) => on.locator("[data-live=pending]");

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  page = await context.newPage();
  await login(page, ada);
  keys = mkdtempSync(join(tmpdir(), "snowglobe-keys-"));
  await describeMachine(page, machine);
  await page.getByLabel("SSH keys for “admin”").fill([newKey("first"), newKey("second")].join("\n"));
  await page.getByRole("button", { name: "Create and start" }).click();
  await jobDone(page);
  await page.goto(`${url()}/machines/${machine}`);
  address = await page.locator("[data-live=addresses] code").first().innerText();
});

test.afterAll(async () => {
  await purge(page, machine);
  await context.close();
});

test("the form is filled, and says of each change what it needs before it is saved", async () => {
  await page.goto(configuration());
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await expect(page.getByLabel("SSH keys for “admin”")).toHaveValue(/first\n.*second$/s);
  await expect(page.getByLabel("Console password for “root”")).toHaveValue("");
  await page.getByRole("textbox", { name: "Memory" }).fill("320");
  await page.getByRole("textbox", { name: "Disk" }).fill("2");
  await page.getByLabel("Extra /etc/hosts entries").fill("192.0.2.9 nas");
  await page.getByLabel("Extra /etc/hosts entries").blur();
  await expect(plan(page)).toContainText("Memory: 256 MiB → 320 MiB (needs a restart)");
  await expect(plan(page)).toContainText("Disk: 1 GiB → 2 GiB (applied at once)");
  await expect(plan(page)).toContainText("+ 192.0.2.9 nas (applied at once)");
  await accessible(page);
});

test("a key that is removed is refused at the next login; the disk grows while the guest runs", async () => {
  expect(ssh("second", "df -k /var | tail -n 1")).toBeDefined();
  const onlyFirst = readFileSync(join(keys, "first.pub"), "utf8");
  await page.getByLabel("SSH keys for “admin”").fill(onlyFirst);
  await save(page);
  await expect(page).toHaveURL(configuration());
  // Shown when the job has ended: it was saved at once, and the job has applied what could be.
  await expect(pending(page)).toContainText("Memory: 256 MiB → 320 MiB");
  expect(ssh("second", "true")).toBeUndefined();
  const grown = ssh("first", "df -k /var | tail -n 1; cat /etc/hosts") ?? "";
  expect(Number(grown.trim().split(/\s+/)[1])).toBeGreaterThan(1_500_000);
  expect(grown).toContain("192.0.2.9");
  await expect(page.locator("[data-live=head]")).toContainText("Changes pending");
  await page.goto(`${url()}/`);
  await expect(page.getByRole("row", { name: new RegExp(machine) })).toContainText("Changes pending");
});

test("what is pending is dropped, or made true by a restart", async () => {
  await page.goto(configuration());
  await page.getByRole("link", { name: `Drop changes ${machine}` }).click();
  await expect(page.getByText("The change “Memory: 256 MiB → 320 MiB”")).toBeVisible();
  await accessible(page);
  await page.getByRole("button", { name: "Drop changes" }).click();
  await expect(page).toHaveURL(configuration());
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await expect(pending(page)).toBeEmpty();
  await page.getByRole("textbox", { name: "Memory" }).fill("384");
  await save(page);
  await page.getByRole("link", { name: `Apply changes ${machine}` }).click();
  await expect(plan(page)).toContainText("Downtime");
  await page.getByRole("button", { name: "Apply changes" }).click();
  await expect(page).toHaveURL(configuration());
  await expect(page.locator("[data-live=notices]")).toBeEmpty({ timeout: 600_000 });
  await expect(pending(page)).toBeEmpty();
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  expect(virsh("dominfo", machine)).toMatch(/Max memory:\s+393216 KiB/);
});

test("a smaller disk is refused beside its field, and what was typed stays", async () => {
  await page.goto(configuration());
  await page.getByRole("textbox", { name: "Disk" }).fill("1");
  await page.getByLabel("Name servers").fill("192.0.2.53");
  await save(page);
  await expect(page.locator("#disk-error")).toContainText("cannot become smaller");
  await expect(page.getByRole("textbox", { name: "Disk" })).toBeFocused();
  await expect(page.getByLabel("Name servers")).toHaveValue("192.0.2.53");
});

test("two people edit at once: the second is shown what the first has changed", async ({ browser }) => {
  const second = await newPerson(browser, ada);
  await second.goto(configuration());
  await page.goto(configuration());
  await page.getByLabel("Extra /etc/hosts entries").fill("192.0.2.10 printer");
  await save(page);
  await expect(page).toHaveURL(configuration());
  await expect(page.locator("[data-live=notices]")).toBeEmpty();
  await second.getByLabel("Name servers").fill("192.0.2.53");
  await save(second);
  await expect(second.getByRole("alert")).toContainText("+ 192.0.2.10 printer, − 192.0.2.9 nas");
  await expect(second.getByLabel("Name servers")).toHaveValue("192.0.2.53");
  // Seen that, they save over it.
  await save(second);
  await expect(second).toHaveURL(configuration());
  await expect(second.getByLabel("Extra /etc/hosts entries")).toHaveValue("192.0.2.9 nas");
  await second.context().close();
});

test("notes are shown as they were written, and a machine that is protected is not destroyed", async () => {
  await page.goto(configuration());
  await page.getByLabel("Autostart").check();
  await page.getByLabel("Delete protection").check();
  await page.getByRole("textbox", { name: "Notes" }).fill("Ask Ada first.\n<b>Rack 4</b>");
  await page.getByRole("textbox", { name: "Notes" }).blur();
  await expect(plan(page)).toContainText("Autostart: off → on (applied at once)");
  await expect(plan(page)).toContainText("Delete protection: off → on (takes effect when saved)");
  await expect(plan(page)).toContainText("Notes: set (takes effect when saved)");
  await save(page);
  await expect(page).toHaveURL(configuration());
  await expect(page.locator("[data-live=notices]")).toBeEmpty();
  // What was saved while the guest was booting may be.
  await expect(pending(page)).not.toContainText(/Autostart|Delete protection|Notes/);
  expect(virsh("dominfo", machine)).toMatch(/Autostart:\s+enable/);
  await page.goto(`${url()}/machines/${machine}`);
  await expect(page.locator(".notes")).toHaveText("Ask Ada first. <b>Rack 4</b>");
  await accessible(page);
  await page.getByText("More", { exact: true }).click();
  const kept = page.locator("[data-live=actions] li", { hasText: "Delete protection is on." });
  await expect(kept).toContainText(/Recreate.*Destroy.*Purge/);
  await page.goto(`${url()}/machines/${machine}/do/purge`);
  await expect(page.getByText("Delete protection is on. Turn it off in Configuration first.")).toBeVisible();
  await page.goto(`${url()}/machines/${machine}`);
  await page.getByRole("link", { name: "Edit notes" }).click();
  await expect(page.getByRole("textbox", { name: "Notes" })).toHaveValue("Ask Ada first.\n<b>Rack 4</b>");
  await expect(page.getByRole("textbox", { name: "Notes" })).toBeInViewport();
  await page.getByLabel("Delete protection").uncheck();
  await save(page);
  await expect(page.locator("[data-live=notices]")).toBeEmpty();
  await page.goto(`${url()}/machines/${machine}/do/purge`);
  await expect(page.getByRole("button", { name: "Purge" })).toBeVisible();
});

test("on a phone and without JavaScript", async ({ browser }) => {
  const phone = await browser.newContext({ viewport: { width: 360, height: 780 }, javaScriptEnabled: false });
  const small = await phone.newPage();
  await login(small, ada);
  await small.goto(configuration());
  await fitsWindow(small);
  await small.getByRole("textbox", { name: "Memory" }).fill("256");
  await small.getByRole("button", { name: "Show plan" }).click();
  await expect(plan(small)).toContainText("Memory: 384 MiB → 256 MiB (needs a restart)");
  await expect(small.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await save(small);
  await small.reload();
  await expect(pending(small)).toContainText("Memory: 384 MiB → 256 MiB");
  await fitsWindow(small);
  await phone.close();
});
