/** The people of the story, and what they do again and again. */
import { type Browser, type Page, expect } from "@playwright/test";
import { AxeBuilder } from "@axe-core/playwright";

/** The portal under test. */
export const url = (): string => process.env.E2E_URL ?? "";

/** The first administrator. */
export const ada = { name: "ada", password: "four random words do well" };
/** A member. */
export const grace = { name: "grace", password: "compilers need nanoseconds" };
/** Root's password on the serial consoles. */
export const rootPassword = "snow in a globe";

/** Types a name and password into the login page. */
export async function login(page: Page, who: { name: string; password: string }, expectSuccess = true): Promise<void> {
  await page.goto(`${url()}/login`);
  await page.getByLabel("Name", { exact: true }).fill(who.name);
  await page.getByLabel("Password", { exact: true }).fill(who.password);
  await page.getByRole("button", { name: "Log in" }).click();
  if (expectSuccess) await expect(page).toHaveURL(`${url()}/`);
}

/** A second person in a browser of their own. */
export async function newPerson(browser: Browser, who: { name: string; password: string }): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await login(page, who);
  return page;
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

/** Collects what the browser complains about: script errors, refused resources, broken policies. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 4")) found.push(message.text());
  });
  return found;
}

/** Presses a button of a machine's menu. The menu is drawn anew when the machine changes, so a press that met that is repeated. */
export async function choose(page: Page, button: string): Promise<void> {
  const wanted = page.getByRole("button", { name: button }).first();
  await expect(async () => {
    if (!(await wanted.isVisible())) await page.getByText("More", { exact: true }).click({ timeout: 2_000 });
    await wanted.click({ timeout: 2_000 });
  }).toPass({ timeout: 20_000 });
}
