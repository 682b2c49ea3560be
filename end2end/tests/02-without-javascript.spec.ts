/** The same story's forms with JavaScript off: everything but the console works with plain HTML. */
import { type Page, expect, test } from "@playwright/test";
import { BOOT, ada, login, url, operate } from "../support/people";

test.describe.configure({ mode: "serial" });
test.use({ javaScriptEnabled: false });

const machine = "e2e-plain";
let page: Page;

test.beforeAll(async ({ browser }) => {
  page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await login(page, ada);
});

test.afterAll(() => page.context().close());

test.afterEach(async ({}, info) => {
  await page.screenshot({ path: info.outputPath("end.png"), fullPage: true });
});

/** Reloads until the page shows the expected text, as a person without JavaScript does. */
async function reloadUntil(what: () => Promise<boolean>): Promise<void> {
  await expect.poll(async () => { await page.reload(); return what(); }, { timeout: BOOT, intervals: [500] }).toBe(true);
}

test("the plan is shown on request and values stay", async () => {
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill(machine);
  await page.getByRole("textbox", { name: "Processors" }).fill("1");
  await page.getByRole("textbox", { name: "Memory" }).fill("256");
  await page.getByRole("textbox", { name: "Disk" }).fill("1");
  await page.getByRole("button", { name: /Show plan/ }).click();
  await expect(page.locator(".form-aside li").first()).toBeVisible();
  await expect(page.getByLabel("Name (required)")).toHaveValue(machine);
});

test("an error is shown beside its field and nothing typed is lost", async () => {
  await page.getByRole("textbox", { name: "Open TCP ports" }).fill("22\n99999");
  await page.getByRole("button", { name: "Save configuration only" }).click();
  await expect(page.locator("#tcp_ports-error")).toContainText("99999");
  await expect(page.getByRole("textbox", { name: "Open TCP ports" })).toHaveValue("22\n99999");
  await expect(page.getByLabel("Name (required)")).toHaveValue(machine);
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
});

test("save the configuration, create from it, shut it off, destroy and purge it", async () => {
  await page.getByRole("textbox", { name: "Open TCP ports" }).fill("22");
  await page.getByRole("button", { name: "Save configuration only" }).click();
  await expect(page).toHaveURL(`${url()}/machines/${machine}`);
  await reloadUntil(async () => (await page.locator("[data-live=head]").innerText()).includes("Not created"));
  await page.getByRole("button", { name: new RegExp(`Create from configuration ${machine}`) }).first().click();
  await expect(page).toHaveURL(/\/jobs\//);
  await reloadUntil(async () => (await page.locator("main").innerText()).includes("Done"));
  await page.goto(`${url()}/machines/${machine}`);
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  for (const [button, state] of [["Suspend", "Paused"], ["Resume", "Running"], ["Reboot", "Running"], ["Force off", "Off"], ["Start", "Running"], ["Shut down", "Off"]] as const) {
    const more = page.getByText("More", { exact: true });
    const direct = page.locator("[data-live=actions]").locator(`[aria-label="${button} ${machine}"]`);
    if (!(await direct.first().isVisible())) await more.click();
    await direct.first().click();
    if (button === "Force off") await page.getByRole("button", { name: "Force off" }).click();
    await expect(page).toHaveURL(`${url()}/machines/${machine}`);
    await reloadUntil(async () => {
      const idle = (await page.locator(".job-notice").count()) === 0;
      return idle && (await page.locator("[data-live=head]").innerText()).includes(state);
    });
  }
  await operate(page, machine, "purge");
  await reloadUntil(async () => (await page.locator("main").innerText()).includes("Done"));
});

test("users, hosts, images, audit and account work by their forms", async () => {
  await page.goto(`${url()}/users`);
  await page.getByLabel("Name", { exact: true }).fill("mallory");
  await page.getByLabel("Initial password").fill("short");
  await page.getByRole("button", { name: "Add user" }).click();
  await expect(page.locator("#password-error")).toContainText("at least");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("mallory");
  await page.goto(`${url()}/hosts`);
  await page.getByRole("button", { name: "Test local again" }).click();
  await expect(page.getByText("The host was tested.")).toBeVisible();
  await page.goto(`${url()}/audit`);
  await page.getByLabel("Machine, user or host").fill(machine);
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.locator("table.audit")).toContainText("Purge");
  await page.goto(`${url()}/account`);
  await page.getByLabel("Current password").fill("wrong wrong wrong");
  await page.getByLabel("New password", { exact: true }).fill("another good password");
  await page.getByLabel("Repeat new password").fill("another good password");
  await page.getByRole("button", { name: "Change password" }).click();
  await expect(page.locator("#old_password-error")).toBeVisible();
});
