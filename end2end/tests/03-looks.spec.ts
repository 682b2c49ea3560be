/** How every page looks: wide, on a phone, in the dark. Screenshots are kept with the results; axe-core judges each. */
import { type Page, expect, test } from "@playwright/test";
import { accessible, ada, complaints, fitsWindow, login, url } from "../support/people";

const PAGES = ["/", "/machines/new", "/images", "/jobs", "/hosts", "/audit", "/users", "/account"];
const VIEWS = [
  { name: "wide", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 360, height: 740 }, colorScheme: "light" },
  { name: "dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { name: "dark phone", viewport: { width: 360, height: 740 }, colorScheme: "dark" },
] as const;

for (const { name, viewport, colorScheme } of VIEWS) {
  test(`${name}: every page fits, is accessible and complains about nothing`, async ({ browser }, info) => {
    test.setTimeout(120_000);
    const context = await browser.newContext({ viewport, colorScheme, hasTouch: viewport.width < 500 });
    const page: Page = await context.newPage();
    const problems = complaints(page);
    await login(page, ada);
    const shot = (path: string) => info.outputPath(`${path.replaceAll("/", "_") || "_"}.png`);
    for (const path of PAGES) {
      await page.goto(url() + path);
      await page.screenshot({ path: shot(path), fullPage: true });
      await fitsWindow(page);
      await accessible(page);
    }
    const job = page.locator("table.jobs a").first();
    await page.goto(`${url()}/jobs`);
    await job.click();
    await expect(page.locator(".steps")).toBeVisible();
    await page.screenshot({ path: shot("job"), fullPage: true });
    await fitsWindow(page);
    await accessible(page);
    expect(problems, "the browser complained").toEqual([]);
    await context.close();
  });
}

test("the theme switch is remembered and sets before the first paint", async ({ page }) => {
  await login(page, ada);
  const theme = page.getByRole("button", { name: /^Theme/ });
  await theme.click();
  const chosen = await page.evaluate(() => document.documentElement.dataset.theme);
  expect(["light", "dark"]).toContain(chosen);
  await page.reload();
  expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe(chosen);
});

test("the keyboard alone reaches the content, the form and its button", async ({ page }) => {
  await login(page, ada);
  await page.goto(`${url()}/machines/new`);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.getByLabel("Name (required)")).toBeFocused();
});
