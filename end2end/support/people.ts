/** The people of the story, and what they do again and again. */
import { type Browser, type Page, expect } from "@playwright/test";
import { AxeBuilder } from "@axe-core/playwright";

/** The portal under test. */
export const url = (): string => process.env.E2E_URL ?? "";
/** Its configured public address; `Line` listens there. */
export const publicUrl = (): string => process.env.E2E_PUBLIC_URL ?? "";
/** Its state directory. */
export const state = (): string => process.env.E2E_STATE ?? "";

/** The first administrator. */
export const ada = { name: "ada", password: "four random words do well" };
/** A member. */
export const grace = { name: "grace", password: "compilers need nanoseconds" };
/** Root's password on the serial consoles. */
export const rootPassword = "snow in a globe";

/** How long a machine may take to be created and boot on a busy computer that emulates it, in milliseconds. */
export const BOOT = 600_000;

/** Types a name and password into the login page; `at` is the portal's origin. */
export async function login(page: Page, who: { name: string; password: string }, at = url()): Promise<void> {
  await tryLogin(page, who, at);
  await expect(page).toHaveURL(`${at}/`);
}

/** The same, whatever the result. */
export async function tryLogin(page: Page, who: { name: string; password: string }, at = url()): Promise<void> {
  await page.goto(`${at}/login`);
  if (await page.getByText("Not set up yet").isVisible()) {
    await makeAdministrator(page);
    return;
  }
  await page.getByLabel("Name", { exact: true }).fill(who.name);
  await page.getByLabel("Password", { exact: true }).fill(who.password);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Fills in the page behind the setup link: in the story, and when a test file runs on its own. */
export async function makeAdministrator(page: Page): Promise<void> {
  await page.goto(process.env.E2E_SETUP_LINK ?? "");
  await page.getByLabel("Name", { exact: true }).fill(ada.name);
  await page.getByLabel("Password", { exact: true }).fill(ada.password);
  await page.getByLabel("Repeat password").fill(ada.password);
  await page.getByRole("button", { name: "Create administrator" }).click();
}

/** A second person in a browser of their own; `at` is the portal's origin. */
export async function newPerson(
  browser: Browser,
  who: { name: string; password: string },
  at = url(),
): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await login(page, who, at);
  return page;
}

/** Adds the member, unless the story has. */
export async function addMember(administrator: Page): Promise<void> {
  await administrator.goto(`${url()}/users`);
  if (await administrator.getByRole("row", { name: new RegExp(grace.name) }).isVisible()) return;
  await administrator.getByLabel("Name", { exact: true }).fill(grace.name);
  await administrator.getByLabel("Initial password").fill(grace.password);
  await administrator.getByRole("button", { name: "Add user" }).click();
  await expect(administrator.getByText("The user was added.")).toBeVisible();
}

/** Fills the form for a new machine with a small one. */
export async function describeMachine(page: Page, name: string): Promise<void> {
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill(name);
  // Two processors on a busy computer hang an emulated guest's kernel: a timer of one waits for the other forever.
  await page.getByRole("textbox", { name: "Processors" }).fill("1");
  await page.getByRole("textbox", { name: "Memory" }).fill("256");
  await page.getByRole("textbox", { name: "Disk" }).fill("1");
  await page.getByLabel("Console password for “root”").fill(rootPassword);
}

/** Creates a small machine and waits until it runs. */
export async function createMachine(page: Page, name: string): Promise<void> {
  await describeMachine(page, name);
  await page.getByRole("button", { name: "Create and start" }).click();
  await jobDone(page);
}

/** Waits until the job on this page has succeeded. */
export async function jobDone(page: Page): Promise<void> {
  await expect(page).toHaveURL(/\/jobs\/[^/]+$/);
  const head = page.locator("[data-live=job-head]");
  await expect(head).toContainText(/Done|Failed|Cancelled/, { timeout: BOOT });
  await expect(head).toContainText("Done");
}

/** Does something to a machine on its operation's page; types the machine's name where required. */
export async function operate(page: Page, name: string, operation: string): Promise<void> {
  await page.goto(`${url()}/machines/${name}/do/${operation}`);
  const form = page.locator("form#machine-form");
  const confirm = form.locator("input[name=confirm]");
  if (await confirm.count()) await confirm.fill(name);
  await form.locator("button[name=intent]").click();
}

/** Destroys and forgets a machine. */
export async function purge(page: Page, name: string): Promise<void> {
  await operate(page, name, "purge");
  await jobDone(page);
}

/** Fails on anything that axe-core calls serious or critical. */
export async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  const told = serious.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.map((n) => n.html.slice(0, 160)).join("\n  ")}`);
  expect(told, `on ${page.url()}`).toEqual([]);
}

/** Fails if the page is wider than its window: on a phone nothing may have to be scrolled sideways. */
export async function fitsWindow(page: Page): Promise<void> {
  const [content, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  expect(content, `${page.url()} is wider than the window`).toBeLessThanOrEqual(window_ ?? 0);
}

/** Fails on controls that are lower than 24 px (WCAG 2.5.8), which exempts links in sentences. A box in a label is as large as that. */
export async function tappable(page: Page): Promise<void> {
  const low = await page.evaluate(() => {
    const isInSentence = (link: Element) => link.matches("a") && (link.closest("p, li")?.textContent ?? "") !== link.textContent;
    return [...document.querySelectorAll("main :is(a, button, summary, input, select, textarea), header :is(a, button)")]
      .map((control) => control.closest("label") ?? control)
      .filter((control) => control.checkVisibility() && !control.closest(".xterm") && !isInSentence(control))
      .filter((control) => control.getBoundingClientRect().height < 24)
      .map((control) => `${control.getBoundingClientRect().height} px: ${control.outerHTML.slice(0, 120)}`);
  });
  expect(low, `on ${page.url()}`).toEqual([]);
}

/** Collects what the browser complains about: script errors, refused resources, broken policies. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 4")) found.push(message.text());
  });
  return found;
}

/** Presses a button of a machine's page: the visible one, or the one in the menu. */
export async function choose(page: Page, button: string): Promise<void> {
  const wanted = page.locator("[data-live=actions]").locator(`[aria-label="${button}"]`);
  if (!(await wanted.isVisible())) await page.getByText("More", { exact: true }).click();
  await wanted.click();
}
