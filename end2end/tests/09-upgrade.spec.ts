/**
 * Upgrades of a real machine: the new system boots and the data stay, one that does not come up is left again, and going back.
 */
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import { nextImages } from "../support/flake";
import { accessible, ada, BOOT, createMachine, fitsWindow, jobDone, login, purge, state, url } from "../support/people";
import { virsh } from "../support/portal";

test.describe.configure({ mode: "serial" });

const machine = "e2e-upgraded";
let context: BrowserContext;
let page: Page;

const tab = () => `${url()}/machines/${machine}/generations`;
const region = (on: Page) => on.locator("[data-live=generations]");
const rows = (on: Page) => on.getByRole("table", { name: "Generations of this machine" }).getByRole("row");
const generation = (on: Page, number: number) => rows(on).filter({ has: on.getByRole("rowheader", { name: `Generation ${number}`, exact: true }) });

/** The boot disk of the running domain. */
const bootDisk = () => virsh("domblklist", machine).split("\n").find((line) => line.trim().startsWith("vda")) ?? "";

/** Follows the job to its end, whatever that is. */
async function jobEnds(on: Page): Promise<void> {
  await expect(on).toHaveURL(/\/jobs\//);
  await expect(on.locator("[data-live=job-head]")).toContainText(/Done|Failed|Cancelled/, { timeout: BOOT });
}

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  page = await context.newPage();
  await login(page, ada);
  await createMachine(page, machine);
});

test.afterAll(async () => {
  nextImages(state(), true);
  await purge(page, machine);
  await context.close();
});

test("an upgrade is planned, boots the new image, and keeps the former one", async () => {
  await page.goto(tab());
  await expect(region(page)).toContainText("Nothing would change");
  nextImages(state(), true);
  await page.reload();
  await region(page).getByRole("link", { name: `Upgrade ${machine}` }).click();
  await expect(page.getByText("The data disk with everything on it")).toBeVisible();
  await expect(page.getByText("The present system, as generation 1, to roll back to")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Packages" })).toBeVisible();
  await accessible(page);
  await page.getByRole("button", { name: "Upgrade", exact: true }).click();
  await jobDone(page);
  await page.goto(tab());
  await expect(generation(page, 2)).toContainText("current");
  await expect(generation(page, 1)).toContainText("former");
  expect(bootDisk()).toContain("boot-2.qcow2");
  await accessible(page);
  await page.getByRole("link", { name: "What changed from generation 1 to 2" }).click();
  await expect(page.getByText("tiny-guest")).toBeVisible();
});

test("a system that does not come up is left again, and the job says what its console said", async () => {
  nextImages(state(), false);
  await page.goto(tab());
  await region(page).getByRole("link", { name: `Upgrade ${machine}` }).click();
  await page.getByRole("button", { name: "Upgrade", exact: true }).click();
  await jobEnds(page);
  await expect(page.getByText("stopped before its boot was complete").first()).toBeVisible();
  await page.goto(tab());
  await expect(generation(page, 2)).toContainText("current");
  await expect(rows(page)).toHaveCount(3);
  await expect(page.getByRole("heading", { name: "Failed upgrades" })).toBeVisible();
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  expect(bootDisk()).toContain("boot-2.qcow2");
});

test("going back is planned with what is chosen, also without JavaScript and on a phone", async ({ browser }) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  const phone = await plain.newPage();
  await login(phone, ada);
  await phone.goto(tab());
  await fitsWindow(phone);
  await phone.getByRole("link", { name: "Roll back to generation 1" }).click();
  await expect(phone.getByLabel("Generation")).toHaveValue("1");
  await expect(phone.getByText("Switch to the boot disk of generation 1")).toBeVisible();
  await fitsWindow(phone);
  await phone.getByRole("button", { name: "Roll back" }).click();
  await expect(phone).toHaveURL(/\/jobs\//);
  await page.goto(phone.url());
  await jobDone(page);
  await plain.close();
  await page.goto(tab());
  await expect(generation(page, 1)).toContainText("current");
  expect(bootDisk()).toMatch(/\/boot\.qcow2/);
  await page.goto(`${url()}/?due=update`);
  await expect(page.getByRole("row", { name: new RegExp(machine) })).toContainText("Update available");
});
