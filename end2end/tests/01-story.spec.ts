/**
 * The main job as one person does it: first administrator, hosts, a machine from a form, its console, its end, the audit log.
 * One browser, one story, in order; what a later part needs an earlier one made.
 */
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import { accessible, ada, choose, complaints, grace, login, newPerson, rootPassword, url } from "../support/people";
import { Terminal } from "../support/terminal";
import { virsh } from "../support/portal";

test.describe.configure({ mode: "serial" });

const machine = "e2e-story";
let context: BrowserContext;
let page: Page;
let problems: string[];

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
  problems = complaints(page);
});

test.afterAll(async () => {
  await context.close();
});

test.afterEach(async ({}, info) => {
  await page.screenshot({ path: info.outputPath("end.png"), fullPage: true });
  expect(problems.splice(0), "the browser complained").toEqual([]);
});

test("the setup link makes the first administrator, once", async () => {
  await page.goto(process.env.E2E_SETUP_LINK ?? "");
  await accessible(page);
  await page.getByLabel("Name", { exact: true }).fill(ada.name);
  await page.getByLabel("Password", { exact: true }).fill("short");
  await page.getByLabel("Password again").fill("short");
  await page.getByRole("button", { name: "Make the administrator" }).click();
  await expect(page.locator("#password-error")).toContainText("at least");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(ada.name);
  await page.getByLabel("Password", { exact: true }).fill(ada.password);
  await page.getByLabel("Password again").fill(ada.password);
  await page.getByRole("button", { name: "Make the administrator" }).click();
  await expect(page).toHaveURL(`${url()}/`);
  await expect(page.getByText("There is no machine yet")).toBeVisible();
  await page.goto(process.env.E2E_SETUP_LINK ?? "");
  await expect(page.getByRole("heading", { name: "Already set up" })).toBeVisible();
});

test("a wrong password is refused, the right one is not", async ({ browser }) => {
  const stranger = await (await browser.newContext()).newPage();
  await login(stranger, { name: ada.name, password: "not this one either" }, false);
  await expect(stranger).toHaveURL(/login/);
  await expect(stranger.getByRole("alert").first()).toBeVisible();
  await expect(stranger.getByLabel("Name", { exact: true })).toHaveValue(ada.name);
  await stranger.getByLabel("Password", { exact: true }).fill(ada.password);
  await stranger.getByRole("button", { name: "Log in" }).click();
  await expect(stranger).toHaveURL(`${url()}/`);
  await stranger.goto(`${url()}/account`);
  await stranger.getByRole("button", { name: "Log out" }).click();
  await stranger.goto(`${url()}/`);
  await expect(stranger).toHaveURL(/login/);
  await stranger.context().close();
});

test("an administrator adds a member", async () => {
  await page.goto(`${url()}/users`);
  await page.getByLabel("Name", { exact: true }).fill(grace.name);
  await page.getByLabel("First password").fill(grace.password);
  await page.getByRole("button", { name: "Add the user" }).click();
  await expect(page.getByText("The user was added.")).toBeVisible();
  await expect(page.getByRole("row", { name: new RegExp(grace.name) })).toContainText("Enabled");
  await accessible(page);
});

test("the hosts page tells how the host is", async () => {
  await page.goto(`${url()}/hosts`);
  for (const finding of ["Connection", "Acceleration", "Firmware", "Network", "Tools", "Disk", "Nix"]) {
    await expect(page.locator(".findings").getByText(finding, { exact: true })).toBeVisible();
  }
  await page.getByRole("button", { name: "Test local again" }).click();
  await expect(page.getByText("The host was tested again.")).toBeVisible();
  await accessible(page);
});

test("the create form judges beside the field, keeps what was typed, and shows the plan", async () => {
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill("Not A Name");
  await page.getByRole("textbox", { name: "Memory" }).fill("256");
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page.locator("#name-error")).toContainText("must begin with a letter");
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await page.getByLabel("Name (required)").fill(machine);
  await expect(page.locator(".form-aside")).toContainText(/image/i);
  await accessible(page);
});

test("create builds the image, boots the machine and shows its address", async () => {
  test.setTimeout(240_000);
  await page.getByRole("textbox", { name: "Disk" }).fill("1");
  await page.getByLabel("Console password of “root”").fill(rootPassword);
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.locator(".steps li").first()).toBeVisible();
  // The log is live: lines of the builders arrive while the build runs.
  await expect(page.locator("[data-log=lines]")).toContainText("building", { timeout: 60_000 });
  await expect(page.locator(".steps li[data-state=done]").last()).toContainText(/address/i, { timeout: 200_000 });
  await accessible(page);
  await page.goto(`${url()}/machines/${machine}`);
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  await expect(page.locator("[data-live=addresses]")).toContainText(/\d+\.\d+\.\d+\.\d+/);
  await accessible(page);
});

test("state changes made elsewhere show without a reload", async ({ browser }) => {
  await page.goto(`${url()}/`);
  const row = page.getByRole("row", { name: new RegExp(machine) });
  await expect(row).toContainText("Running");
  virsh("suspend", machine);
  await expect(row).toContainText("Paused", { timeout: 2_000 });
  virsh("resume", machine);
  await expect(row).toContainText("Running", { timeout: 2_000 });
  const other = await newPerson(browser, ada);
  await other.goto(`${url()}/machines/${machine}`);
  await choose(other, `Suspend ${machine}`);
  await expect(row).toContainText("Paused");
  await choose(other, `Resume ${machine}`);
  await expect(row).toContainText("Running");
  await other.context().close();
});

test("the console: log in, see markup as text, two people, take-over, reboot", async ({ browser }) => {
  test.setTimeout(240_000);
  await page.goto(`${url()}/machines/${machine}/console`);
  const mine = new Terminal(page);
  await mine.shows(/login:/);
  await mine.type("root\n");
  await mine.shows(/[Pp]assword:/);
  await mine.type(`${rootPassword}\n`);
  await mine.shows(/[#$] ?$/m);
  // What the guest prints stays text: neither markup nor a title request changes anything on the page.
  const title = await page.title();
  await mine.type(String.raw`printf '<img src=x onerror=alert(1)>\033]0;owned\007\033[31mred\033[0m\n'` + "\n");
  await mine.shows(/<img src=x onerror=alert\(1\)>red/);
  expect(await page.title()).toBe(title);
  expect(await page.locator("img[src=x]").count()).toBe(0);

  const colleague = await newPerson(browser, ada);
  await colleague.goto(`${url()}/machines/${machine}/console`);
  const theirs = new Terminal(colleague);
  await theirs.shows(/onerror/); // Recent output is replayed.
  await mine.type("echo from-$((40+2))\n");
  await theirs.shows(/from-42/);
  await colleague.getByRole("button", { name: /take over/i }).click();
  await theirs.type("echo taken-$((1+1))\n");
  await mine.shows(/taken-2/);
  await page.getByRole("button", { name: /take over/i }).click();
  await expect(colleague.getByRole("button", { name: /take over/i })).toBeVisible();
  await accessible(page);

  await mine.type("reboot\n");
  await mine.comesTo(/login: ?$/, 120_000);
  await theirs.shows(/login: ?$/);
  await colleague.context().close();
});

test("a dropped connection comes back by itself", async () => {
  await page.goto(`${url()}/machines/${machine}/console`);
  const terminal = new Terminal(page);
  await terminal.shows(/login:/);
  await context.setOffline(true);
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await context.setOffline(false);
  await terminal.type("\n");
  await terminal.shows(/login:/);
});

test("shut down inside the guest shows, start and force off work", async () => {
  test.setTimeout(180_000);
  await page.goto(`${url()}/machines/${machine}`);
  await page.getByRole("button", { name: `Shut down ${machine}` }).click();
  await expect(page.locator("[data-live=head]")).toContainText("Off", { timeout: 120_000 });
  await page.getByRole("button", { name: `Start ${machine}` }).click();
  await expect(page.locator("[data-live=head]")).toContainText("Running", { timeout: 30_000 });
  await choose(page, `Force off ${machine}`);
  await expect(page.locator("[data-live=head]")).toContainText("Off", { timeout: 30_000 });
});

test("images: built, in use, built for several profiles, removed", async () => {
  test.setTimeout(240_000);
  await page.goto(`${url()}/images`);
  await expect(page.locator("table.images")).toContainText(machine);
  await page.locator("#build").getByRole("checkbox").first().check();
  await page.getByRole("button", { name: "Build one image of these" }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.locator("main")).toContainText(/Done/, { timeout: 120_000 });
  await page.goto(`${url()}/images`);
  await accessible(page);
  await page.getByRole("link", { name: /^Remove image/ }).first().click();
  await page.getByRole("button", { name: "Remove image" }).click();
  await expect(page).toHaveURL(/\/images/);
});

test("destroy wants the name, keeps the configuration; create again; purge forgets it", async () => {
  test.setTimeout(240_000);
  await page.goto(`${url()}/machines/${machine}/destroy`);
  await accessible(page);
  const destroy = page.locator("form", { has: page.getByRole("button", { name: /^Destroy/ }) });
  await destroy.getByRole("textbox").fill("something-else");
  await destroy.getByRole("button", { name: /^Destroy/ }).click();
  await expect(page).toHaveURL(/destroy/);
  await destroy.getByRole("textbox").fill(machine);
  await destroy.getByRole("button", { name: /^Destroy/ }).click();
  await expect(page.locator("[data-live=head]")).toContainText("Not created", { timeout: 60_000 });
  expect(virsh("list", "--all", "--name").split("\n")).not.toContain(machine);
  await page.getByRole("button", { name: new RegExp(`Create from configuration ${machine}`) }).first().click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.locator(".steps li[data-state=done]").last()).toContainText(/address/i, { timeout: 200_000 });
  await page.goto(`${url()}/machines/${machine}/destroy`);
  const purge = page.locator("form", { has: page.getByRole("button", { name: /^Purge/ }) });
  await purge.getByRole("textbox").fill(machine);
  await purge.getByRole("button", { name: /^Purge/ }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.locator("main")).toContainText("Done", { timeout: 60_000 });
  const answer = await page.goto(`${url()}/machines/${machine}`);
  expect(answer?.status()).toBe(404);
  problems.length = 0; // The browser reports the 404 that was asked for.
});

test("the audit log has it all, and its chain holds", async () => {
  await page.goto(`${url()}/audit?subject=${machine}`);
  const table = page.locator("table.audit");
  for (const act of ["Create and start", "Destroy", "Purge", "Shut down", "Force off", "Drive console"]) {
    await expect(table.getByText(act, { exact: true }).first()).toBeVisible();
  }
  await expect(table).toContainText("127.0.0.1");
  await page.getByRole("button", { name: "Verify the chain" }).click();
  await expect(page.getByRole("status")).toContainText("intact");
  await accessible(page);
  const csv = await page.request.get(`${url()}/audit.csv?subject=${machine}`);
  expect(csv.status()).toBe(200);
  expect(await csv.text()).toContain("destroy");
});

test("a member sees neither the audit log nor the users, and the attempt is recorded", async ({ browser }) => {
  const member = await newPerson(browser, grace);
  expect((await member.goto(`${url()}/audit`))?.status()).toBe(403);
  expect((await member.goto(`${url()}/users`))?.status()).toBe(403);
  await member.context().close();
  await page.goto(`${url()}/audit?actor=${grace.name}&outcome=denied`);
  await expect(page.locator("table.audit tbody tr")).not.toHaveCount(0);
});

test("a disabled user is out at once", async ({ browser }) => {
  const member = await newPerson(browser, grace);
  await page.goto(`${url()}/users`);
  await page.getByRole("button", { name: `Disable ${grace.name}` }).click();
  await expect(page.getByText("The account is disabled")).toBeVisible();
  await member.goto(`${url()}/`);
  await expect(member).toHaveURL(/login/);
  await member.context().close();
  await page.getByRole("button", { name: `Enable ${grace.name}` }).click();
});
