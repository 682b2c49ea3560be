/**
 * The main job as one person does it: first administrator, hosts, a machine from a form, its console, its end, the audit log.
 * One browser, one story, in order; what a later part needs an earlier one made.
 */
import { readFileSync } from "node:fs";
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import {
  BOOT, accessible, ada, choose, complaints, describeMachine, grace, jobDone, makeAdministrator, newPerson, purge,
  rootPassword, tryLogin, url,
} from "../support/people";
import { Line } from "../support/line";
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

test("the setup link makes the first administrator, once", async ({}, info) => {
  await page.goto(process.env.E2E_SETUP_LINK ?? "");
  await accessible(page);
  await page.getByLabel("Name", { exact: true }).fill(ada.name);
  await page.getByLabel("Password", { exact: true }).fill("short");
  await page.getByLabel("Repeat password").fill("short");
  await page.getByRole("button", { name: "Create administrator" }).click();
  await expect(page.locator("#password-error")).toContainText("at least");
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue(ada.name);
  await makeAdministrator(page);
  await expect(page).toHaveURL(`${url()}/`);
  await expect(page.getByText("No machines yet")).toBeVisible();
  await expect(page.getByRole("link", { name: "Create the first machine" })).toBeVisible();
  await accessible(page);
  await page.screenshot({ path: info.outputPath("no-machine.png") });
  await page.goto(process.env.E2E_SETUP_LINK ?? "");
  await expect(page.getByRole("heading", { name: "Already set up" })).toBeVisible();
});

test("a wrong password is refused, the right one is not", async ({ browser }) => {
  const stranger = await (await browser.newContext()).newPage();
  await tryLogin(stranger, { name: ada.name, password: "not this one either" });
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
  await page.getByLabel("Initial password").fill(grace.password);
  await page.getByRole("button", { name: "Add user" }).click();
  await expect(page.getByText("The user was added.")).toBeVisible();
  await expect(page.getByRole("row", { name: new RegExp(grace.name) })).toContainText("Enabled");
  await accessible(page);
});

test("the hosts page shows what was found on the host", async () => {
  await page.goto(`${url()}/hosts`);
  for (const finding of ["Connection", "Acceleration", "Firmware", "Network", "Tools", "Disk", "Nix"]) {
    await expect(page.locator(".findings").getByText(finding, { exact: true })).toBeVisible();
  }
  await page.getByRole("button", { name: "Test local again" }).click();
  await expect(page.getByText("The host was tested.")).toBeVisible();
  await accessible(page);
});

test("the create form shows errors beside the field, keeps what was typed, and shows the plan", async () => {
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill("Not A Name");
  await page.getByRole("textbox", { name: "Memory" }).fill("256");
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page.getByLabel("Name (required)")).toBeFocused();
  await expect(page.locator("#name-error")).toContainText("must start with a lower-case letter");
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await page.getByLabel("Name (required)").fill(machine);
  await expect(page.locator(".form-aside")).toContainText("Build the image");
  // The summary of errors goes with the last one.
  await expect(page.locator("[data-mistakes]")).toBeHidden();
  await accessible(page);
});

test("create builds the image, boots the machine and shows its address", async () => {
  await describeMachine(page, machine);
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page.locator(".steps li").first()).toBeVisible();
  // The log is live: lines of the builders arrive while the build runs.
  await expect(page.locator("[data-log=lines]")).toContainText("building");
  await expect(page.locator(".steps li[data-state=done]").last()).toContainText(/address/i, { timeout: BOOT });
  await jobDone(page);
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
  await expect(row).toContainText("Paused");
  virsh("resume", machine);
  await expect(row).toContainText("Running");
  const other = await newPerson(browser, ada);
  await other.goto(`${url()}/machines/${machine}`);
  await choose(other, `Suspend ${machine}`);
  await expect(row).toContainText("Paused");
  await choose(other, `Resume ${machine}`);
  await expect(row).toContainText("Running");
  await other.goto(`${url()}/jobs`);
  const jobs = other.locator("table.jobs tbody tr");
  await expect(jobs.first()).toContainText(`Resume ${machine}`);
  await page.goto(`${url()}/machines/${machine}`);
  await choose(page, `Suspend ${machine}`);
  await expect(jobs.first()).toContainText(/Suspend.*Done/);
  await choose(page, `Resume ${machine}`);
  await expect(jobs.first()).toContainText(/Resume.*Done/);
  await other.context().close();
});

test("a menu stays open and keeps the focus while the machine changes behind it", async () => {
  await page.goto(`${url()}/machines/${machine}`);
  const menu = page.locator("details.menu");
  await page.getByText("More", { exact: true }).focus();
  await page.keyboard.press("Enter");
  const destroy = page.getByRole("link", { name: `Destroy ${machine}` });
  await destroy.focus();
  virsh("suspend", machine);
  await expect(page.getByRole("button", { name: `Resume ${machine}` })).toBeVisible();
  await expect(menu).toHaveAttribute("open");
  await expect(destroy).toBeFocused();
  await expect(page).toHaveTitle(`⏸ ${machine} · Snowglobe`);
  // An impossible action says why, beside it.
  const suspend = menu.getByRole("button", { name: "Suspend", exact: true });
  const refused = menu.locator("li.refused").filter({ has: page.getByRole("button", { name: "Suspend", exact: true }) });
  await expect(suspend).toBeDisabled();
  await expect(refused.locator(".note")).not.toBeEmpty();
  virsh("resume", machine);
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  await expect(page).toHaveTitle(`● ${machine} · Snowglobe`);
  await expect(menu).toHaveAttribute("open");
  await page.keyboard.press("Escape");
  await expect(menu).not.toHaveAttribute("open");
  await expect(page.getByText("More", { exact: true })).toBeFocused();
});

test("rows are searched, selected and worked on together; addresses are copied", async () => {
  await page.goto(`${url()}/`);
  await page.getByLabel("Search machines").fill("nothing like it");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/q=nothing/);
  await expect(page.getByText("No machines match this search.")).toBeVisible();
  await page.goto(`${url()}/?q=${machine}&state=running`);
  const row = page.getByRole("row", { name: new RegExp(machine) });
  await row.getByRole("button", { name: /^Copy address/ }).click();
  const address = await row.locator("code").innerText();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(address);
  await expect(page.getByLabel("Search machines")).toHaveValue(machine);
  await page.getByLabel(`Select ${machine}`).check();
  await expect(page.getByText("1 selected")).toBeVisible();
  await page.getByRole("button", { name: "Clear" }).click();
  await expect(page.getByText("1 selected")).toBeHidden();
  await page.goto(`${url()}/`);
  await page.getByLabel(`Select ${machine}`).check();
  // A redraw of the row keeps the tick.
  virsh("suspend", machine);
  await expect(row).toContainText("Paused");
  await expect(page.getByLabel(`Select ${machine}`)).toBeChecked();
  virsh("resume", machine);
  await expect(row).toContainText("Running");
  await page.locator("#bulk").getByRole("button", { name: "Start" }).click();
  await expect(page.getByRole("alert")).toContainText("running");
});

test("the console: log in, see markup as text, two people, take-over, reboot", async ({ browser }) => {
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
  await expect(page.locator("[data-live=console-people]")).toHaveText(`You have control · watching: ${ada.name}`);
  await expect(colleague.locator("[data-live=console-people]")).toHaveText(`Read-only · ${ada.name} has control · watching: ${ada.name}`);
  await mine.type("echo from-$((40+2))\n");
  await theirs.shows(/from-42/);
  await colleague.getByRole("button", { name: /take control/i }).click();
  await theirs.type("echo taken-$((1+1))\n");
  await mine.shows(/taken-2/);
  await page.getByRole("button", { name: /take control/i }).click();
  await expect(colleague.getByRole("button", { name: /take control/i })).toBeVisible();
  await accessible(page);

  await page.evaluate(() => navigator.clipboard.writeText("echo pasted-$((3+4))"));
  await mine.type("");
  await page.keyboard.press("Control+Shift+V");
  await mine.type("\n");
  await theirs.shows(/pasted-7/);
  const isFull = () => page.evaluate(() => document.fullscreenElement?.className ?? "");
  await page.getByRole("button", { name: "Full screen" }).click();
  await expect.poll(isFull).toBe("console");
  await expect(page.locator("[data-live=console-power]").getByRole("button", { name: `Reboot ${machine}` })).toBeInViewport();
  await page.getByRole("button", { name: "Full screen" }).click();
  await expect.poll(isFull).toBe("");

  await mine.type("reboot\n");
  await mine.comesTo(/login: ?$/);
  await theirs.shows(/login: ?$/);
  await colleague.context().close();
});

test("the keyboard leaves the terminal by a key that is named beside it, and without control nothing is caught", async () => {
  await page.goto(`${url()}/machines/${machine}/console`);
  await new Terminal(page).shows(/login:/);
  const enter = page.getByRole("button", { name: "Go to the terminal" });
  const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
  await enter.press("Enter");
  await expect.poll(focused).toContain("xterm-helper-textarea");
  await page.keyboard.press("Tab");
  expect(await focused()).toContain("xterm-helper-textarea");
  await expect(page.getByText("Ctrl + Shift + Enter leaves it.")).toBeVisible();
  await page.keyboard.press("Control+Shift+Enter");
  await expect(enter).toBeFocused();
  // From here the page continues: Tab skips the terminal in both directions.
  for (const key of ["Tab", "Shift+Tab", "Shift+Tab"]) {
    await page.keyboard.press(key);
    expect(await focused()).not.toContain("xterm-helper-textarea");
  }
  await page.getByRole("button", { name: "Give up control" }).click();
  await expect(page.locator("[data-live=console-people]")).toContainText("Read-only");
  await enter.press("Enter");
  await expect.poll(focused).toContain("xterm-helper-textarea");
  await page.keyboard.press("Tab");
  await expect.poll(focused).not.toContain("xterm-helper-textarea");
});

test("the console log of each boot can be downloaded", async () => {
  await page.goto(`${url()}/machines/${machine}/console`);
  const boots = page.locator("table.boots tbody tr");
  await expect(boots).toHaveCount(2);
  // Before the reboot someone had logged in and typed; the latest boot comes first.
  for (const [boot, has] of [[0, false], [1, true]] as const) {
    const download = page.waitForEvent("download");
    await boots.nth(boot).getByRole("link", { name: /^Download the console log/ }).click();
    const said = readFileSync(await (await download).path(), "utf8");
    expect(said).toContain("login:");
    expect(said.includes("from-42")).toBe(has);
  }
});

test("a lost connection is shown, comes back by itself, and what was printed meanwhile is there once", async ({ browser }) => {
  // Somewhere else, so that the keyboard is free.
  await page.goto(`${url()}/`);
  const line = await Line.open();
  const far = await newPerson(browser, ada, line.url);
  const lost = far.getByText("Not live");
  await far.goto(`${line.url}/machines/${machine}/console`);
  const theirs = new Terminal(far);
  await theirs.shows(/login: ?$/);
  await page.goto(`${url()}/machines/${machine}/console`);
  const mine = new Terminal(page);
  await page.getByRole("button", { name: /take control/i }).click();
  await mine.type(`root\n`);
  await mine.shows(/[Pp]assword:/);
  await mine.type(`${rootPassword}\n`);
  await mine.shows(/[#$] ?$/);
  await theirs.shows(/[#$] ?$/);
  await line.cut();
  await expect(lost).toBeVisible();
  await mine.type("echo unseen-$((20+3))\n");
  await mine.shows(/unseen-23/);
  await line.restore();
  await theirs.shows(/unseen-23/);
  expect((await theirs.text()).match(/unseen-23/g)).toHaveLength(1);
  await expect(lost).toBeHidden();

  await far.goto(`${line.url}/`);
  const row = far.getByRole("row", { name: new RegExp(machine) });
  await expect(row).toContainText("Running");
  await line.cut();
  await expect(lost).toBeVisible();
  virsh("suspend", machine);
  await line.restore();
  await expect(row).toContainText("Paused");
  await expect(lost).toBeHidden();
  virsh("resume", machine);
  await expect(row).toContainText("Running");
  // A lost network is reported at once, before any connection over it has broken.
  await far.context().setOffline(true);
  await expect(lost).toBeVisible();
  await far.context().setOffline(false);
  await expect(lost).toBeHidden();
  await far.context().close();
  await line.cut();
});

test("what a guest asked its terminal before someone came is not answered into its line", async () => {
  const keep = () => {
    const typed: string[] = [];
    Object.assign(globalThis, { typed });
    document.addEventListener("typed", (event) => typed.push((event as CustomEvent<string>).detail), true);
  };
  const typed = () => page.evaluate(() => (globalThis as unknown as { typed: string[] }).typed.join(""));
  await page.addInitScript(keep);
  await page.goto(`${url()}/machines/${machine}/console`);
  const terminal = new Terminal(page);
  await terminal.shows(/[#$] ?$/);
  // “Where is the cursor?” (ECMA-48 DSR 6): the terminal answers by typing, as real ones do.
  await terminal.type(String.raw`printf 'asked\033[6n\n'` + "\n");
  await expect.poll(typed).toMatch(/\x1b\[\d+;\d+R/);
  await page.keyboard.press("Control+C");
  await page.goto(`${url()}/machines/${machine}/console`);
  await terminal.shows(/asked/);
  await terminal.type("echo again-$((4+4))\n");
  await terminal.shows(/again-8/);
  // Nothing before the command. After it the shell asks again, for its next prompt, and is answered.
  expect(await typed()).toMatch(/^echo again/);
});

test("a shut-down inside the guest shows; start beside the console and force off work", async () => {
  // Still logged in at the console.
  await page.goto(`${url()}/machines/${machine}/console`);
  const terminal = new Terminal(page);
  await terminal.shows(/[#$] ?$/);
  await terminal.type("poweroff\n");
  const head = page.locator("[data-live=head]");
  await expect(head).toContainText("Off");
  // The possible actions are beside the screen.
  const power = page.locator("[data-live=console-power]");
  await expect(power).toContainText("The machine is off.");
  await power.getByRole("button", { name: `Start ${machine}` }).click();
  await expect(page).toHaveURL(`${url()}/machines/${machine}/console`);
  await expect(head).toContainText("Running");
  await terminal.shows(/login: ?$/);
  await expect(power.getByRole("button", { name: `Shut down ${machine}` })).toBeVisible();
  await page.goto(`${url()}/machines/${machine}`);
  await choose(page, `Force off ${machine}`);
  await expect(page.getByText("What the guest has not written to its disks")).toBeVisible();
  await page.getByRole("button", { name: "Force off" }).click();
  await expect(head).toContainText("Off");
});

test("a machine that is off gets another name: its old page leads on, and its guest knows", async () => {
  const renamed = `${machine}-2`;
  const head = page.locator("[data-live=head]");
  const rename = async (from: string, to: string) => {
    await page.goto(`${url()}/machines/${from}`);
    await choose(page, `Rename ${from}`);
    await page.getByLabel("New name (required)").fill(to);
    await expect(page.locator("#plan-place")).toContainText(`Write its new host name, ${to}`);
    await accessible(page);
    await page.locator("form#machine-form").getByRole("button", { name: "Rename" }).click();
    await jobDone(page);
    await page.goto(`${url()}/machines/${from}/console`);
    await expect(page).toHaveURL(`${url()}/machines/${to}/console`);
    await expect(head).toContainText("Off");
    expect(virsh("list", "--all", "--name").split("\n")).toContain(to);
  };
  await rename(machine, renamed);
  await page.locator("[data-live=console-power]").getByRole("button", { name: `Start ${renamed}` }).click();
  await new Terminal(page).shows(new RegExp(`${renamed} login: ?$`));
  await page.goto(`${url()}/machines/${renamed}`);
  await choose(page, `Force off ${renamed}`);
  await page.getByRole("button", { name: "Force off" }).click();
  await expect(head).toContainText("Off");
  await rename(renamed, machine);
});

test("images: built, in use, built for several profiles, removed", async () => {
  await page.goto(`${url()}/images`);
  await expect(page.locator("table.images")).toContainText(machine);
  await page.locator("#build").getByRole("checkbox").first().check();
  await page.getByRole("button", { name: "Build one image", exact: true }).click();
  await jobDone(page);
  await page.goto(`${url()}/images`);
  await accessible(page);
  await page.getByRole("link", { name: /^Remove image/ }).first().click();
  await page.getByRole("button", { name: "Remove image" }).click();
  await jobDone(page);
});

test("destroy wants the name, keeps the configuration; create again; purge forgets it", async () => {
  await page.goto(`${url()}/machines/${machine}/do/destroy`);
  await accessible(page);
  const destroy = page.locator("form", { has: page.getByRole("button", { name: /^Destroy/ }) });
  await destroy.getByRole("textbox").fill("something-else");
  await destroy.getByRole("button", { name: /^Destroy/ }).click();
  await expect(page).toHaveURL(/destroy/);
  await destroy.getByRole("textbox").fill(machine);
  await destroy.getByRole("button", { name: /^Destroy/ }).click();
  await expect(page.locator("[data-live=head]")).toContainText("Not created");
  expect(virsh("list", "--all", "--name").split("\n")).not.toContain(machine);
  await page.getByRole("button", { name: new RegExp(`Create from configuration ${machine}`) }).first().click();
  await expect(page).toHaveURL(/\/jobs\//);
  await jobDone(page);
  await purge(page, machine);
  const answer = await page.goto(`${url()}/machines/${machine}`);
  expect(answer?.status()).toBe(404);
  problems.length = 0; // The browser reports the 404 that was asked for.
});

test("the audit log has it all, and its chain holds", async () => {
  await page.goto(`${url()}/audit?subject=${machine}`);
  const table = page.locator("table.audit");
  for (const act of ["Create and start", "Suspend", "Start", "Force off", "Destroy", "Purge", "Drive console"]) {
    await expect(table.getByText(act, { exact: true }).first()).toBeVisible();
  }
  await expect(table).toContainText("127.0.0.1");
  await page.getByRole("button", { name: "Verify integrity" }).click();
  await expect(page.getByText("The log is intact")).toBeVisible();
  await accessible(page);
  // Filtered by the labels that the log shows, in the URL.
  await page.getByLabel("Action").fill("Force off");
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page).toHaveURL(/action=Force\+off/);
  await expect(table.getByText("Force off", { exact: true }).first()).toBeVisible();
  await expect(table.getByText("Suspend", { exact: true })).toHaveCount(0);
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
  await expect(page.getByText("The account was disabled")).toBeVisible();
  await member.goto(`${url()}/`);
  await expect(member).toHaveURL(/login/);
  await member.context().close();
  await page.getByRole("button", { name: `Enable ${grace.name}` }).click();
});
