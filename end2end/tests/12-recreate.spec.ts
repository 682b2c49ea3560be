/**
 * New disks for a real machine: what was on the old ones is gone, and the machine is still the same to whoever logs in.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import { accessible, ada, choose, createMachine, fitsWindow, jobDone, login, purge, state, url } from "../support/people";
import { inGuest, virsh } from "../support/portal";

test.describe.configure({ mode: "serial" });

const machine = "e2e-recreated";
let context: BrowserContext;
let page: Page;

const disks = () => readdirSync(join(state(), "machines", machine)).filter((file) => /^(boot|data)/.test(file)).sort();

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  page = await context.newPage();
  await login(page, ada);
  await createMachine(page, machine);
});

test.afterAll(async () => {
  await purge(page, machine);
  await context.close();
});

test("a machine is recreated: its data are gone, its host key and its addresses stay", async ({}, info) => {
  const identity = () => inGuest(machine, "cat /var/identity/ssh_host_ed25519_key /var/identity/machine-id /etc/hostname");
  const card = () => virsh("domiflist", machine).match(/52:54:[0-9a-f:]+/)?.[0];
  await expect.poll(() => inGuest(machine, "ls /var/identity").catch(() => "")).toContain("ssh_host_ed25519_key");
  await inGuest(machine, "echo dear > /var/letter; sync");
  const [before, address] = [await identity(), card()];
  expect(before).toContain("OPENSSH PRIVATE KEY");
  expect(disks()).toEqual(["boot.qcow2", "data.qcow2"]);

  await page.goto(`${url()}/machines/${machine}`);
  await choose(page, `Recreate ${machine}`);
  await expect(page.getByText("Its disks with everything on them (up to 1 GiB)")).toBeVisible();
  await expect(page.getByText("Its configuration, its network card and its SSH host key")).toBeVisible();
  await accessible(page);
  await page.screenshot({ path: info.outputPath("plan.png"), fullPage: true });
  const typed = page.locator("input[name=confirm]");
  await typed.fill("e2e-other");
  await page.getByRole("button", { name: "Recreate", exact: true }).click();
  await expect(page).toHaveURL(/do\/recreate/);
  expect(await inGuest(machine, "cat /var/letter")).toBe("dear\n");
  await typed.fill(machine);
  await page.getByRole("button", { name: "Recreate", exact: true }).click();
  await jobDone(page);

  expect(disks()).toEqual(["boot-2.qcow2", "data-2.qcow2"]);
  await expect.poll(() => identity().catch(() => "")).toBe(before);
  expect(await inGuest(machine, "ls /var/letter || echo gone")).toContain("gone");
  expect(card()).toBe(address);
  await page.goto(`${url()}/machines/${machine}`);
  await expect(page.locator("[data-live=head]")).toContainText("Running");
});

test("another mode waits for new disks, without JavaScript and on a phone", async ({ browser }, info) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  const phone = await plain.newPage();
  await login(phone, ada);
  await phone.goto(`${url()}/machines/${machine}/configuration`);
  await phone.getByLabel("Semi-mutable").check();
  await phone.getByRole("button", { name: "Save configuration" }).click();
  await phone.goto(`${url()}/machines/${machine}/configuration`);
  const pending = phone.locator("[data-live=pending]");
  await expect(pending).toContainText("needs to be recreated");
  await fitsWindow(phone);
  await phone.screenshot({ path: info.outputPath("pending.png"), fullPage: true });
  await pending.getByRole("link", { name: `Recreate ${machine}` }).click();
  await expect(phone.getByText("Mode: Immutable → Semi-mutable")).toBeVisible();
  await fitsWindow(phone);
  await phone.screenshot({ path: info.outputPath("plan.png"), fullPage: true });
  await phone.locator("input[name=confirm]").fill(machine);
  await phone.getByRole("button", { name: "Recreate", exact: true }).click();
  await expect(phone).toHaveURL(/\/jobs\//);
  await page.goto(phone.url());
  await jobDone(page);
  await plain.close();
  await page.goto(`${url()}/machines/${machine}/configuration`);
  await expect(page.locator("[data-live=pending]")).toBeEmpty();
  await expect(page.getByLabel("Semi-mutable")).toBeChecked();
  expect(disks()).toEqual(["boot-3.qcow2", "data-3.qcow2"]);
});
