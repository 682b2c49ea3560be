/**
 * How every page looks: wide, on a phone, in the dark, at 200 % zoom; with a running machine of a long name, one that is being
 * made, and a job that failed. Screenshots are kept with the results; axe-core judges them.
 */
import { type Page, expect, test } from "@playwright/test";
import { BROKEN, TOLD, Teller } from "../support/flake";
import {
  accessible, ada, addMember, complaints, createMachine, describeMachine, fitsWindow, jobDone, login, newPerson, state, tappable, url,
} from "../support/people";

test.describe.configure({ mode: "serial" });

const running = "e2e-a-machine-whose-name-is-as-long-as-people-make-them";
const making = "e2e-in-the-making";

const VIEWS = [
  { name: "wide", viewport: { width: 1280, height: 800 }, colorScheme: "light", judged: true },
  { name: "phone", viewport: { width: 360, height: 740 }, colorScheme: "light", judged: false },
  { name: "dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark", judged: false },
  { name: "dark phone", viewport: { width: 360, height: 740 }, colorScheme: "dark", judged: true },
  { name: "zoomed", viewport: { width: 640, height: 400 }, deviceScaleFactor: 2, colorScheme: "light", judged: false },
] as const;

/** Every page by the name of its screenshot. */
let places: [string, string][];
let teller: Teller | undefined;

test.beforeAll(async ({ browser }) => {
  const page = await newPerson(browser, ada);
  await addMember(page);
  await createMachine(page, running);
  // The build that is told comes last: it takes the one place that there is for builds.
  const done = new URL(page.url()).pathname;
  const [remove, failed] = [await removeLink(page), await failedJob(page)];
  await describeMachine(page, making);
  await page.getByRole("checkbox", { name: new RegExp(TOLD) }).check();
  // No earlier test has built it in this mode.
  await page.getByRole("radio", { name: /^Semi-mutable/ }).check();
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  teller = new Teller(state());
  teller.say(...Array.from({ length: 200 }, (_, n) => `a line that says what part ${n} of the build is doing <b>now</b>`));
  const underWay = new URL(page.url()).pathname;
  places = [
    ["machines", "/"], ["machines-none-found", "/?q=nothing"], ["new", "/machines/new"], ["new-several", "/machines/new/batch"], ["machine", `/machines/${running}`],
    ["machine-making", `/machines/${making}`],
    ["console", `/machines/${running}/console`], ["configuration", `/machines/${running}/configuration`],
    ["activity", `/machines/${running}/activity`], ["generations", `/machines/${running}/generations`], ["destroy", `/machines/${running}/do/destroy`], ["force-off", `/machines/${running}/do/force_off`],
    ["clone", `/machines/${running}/do/clone`], ["recreate", `/machines/${running}/do/recreate`], ["images", "/images"],
    ["image-remove", remove], ["image-diff", remove.replace(/(\/images\/)(.*)\/remove$/, "$1$2/diff/$2")], ["jobs", "/jobs"], ["job-done", done], ["job-running", underWay],
    ["job-failed", failed], ["hosts", "/hosts"], ["audit", "/audit"], ["users", "/users"], ["account", "/account"],
    ["setup", "/setup"], ["not-found", "/nothing/here"],
  ];
  await page.context().close();
});

test.afterAll(() => teller?.end());

/** The page that removes an image; nobody uses one of another mode. */
async function removeLink(page: Page): Promise<string> {
  await page.goto(`${url()}/images`);
  const link = page.getByRole("link", { name: /^Remove image/ }).first();
  if (!(await link.isVisible())) {
    await page.locator("form#build").getByRole("radio", { name: /^Mutable/ }).check();
    await page.getByRole("button", { name: "Build one image", exact: true }).click();
    await jobDone(page);
    await page.goto(`${url()}/images`);
  }
  return (await link.getAttribute("href")) ?? "";
}

/** A failed job: one from earlier tests, or one of its own if this file runs alone. */
async function failedJob(page: Page): Promise<string> {
  await page.goto(`${url()}/jobs`);
  const link = page.getByRole("row", { name: /Failed/ }).getByRole("link").first();
  if (!(await link.isVisible())) {
    await page.goto(`${url()}/images`);
    await page.locator("form#build").getByRole("checkbox", { name: new RegExp(BROKEN) }).check();
    await page.getByRole("button", { name: "Build one image", exact: true }).click();
    await expect(page.locator("[data-live=job-head]")).toContainText("Failed");
    return new URL(page.url()).pathname;
  }
  return (await link.getAttribute("href")) ?? "";
}

for (const { name, judged, ...screen } of VIEWS) {
  test(`${name}: every page fits, is accessible and complains about nothing`, async ({ browser }, info) => {
    const context = await browser.newContext({ ...screen, hasTouch: screen.viewport.width < 500 });
    const page: Page = await context.newPage();
    const problems = complaints(page);
    const look = async (shot: string) => {
      await page.screenshot({ path: info.outputPath(`${shot}.png`), fullPage: true });
      await fitsWindow(page);
      if (screen.viewport.width < 500) await tappable(page);
      if (judged) await accessible(page);
    };
    await page.goto(`${url()}/login`);
    await look("login");
    await login(page, ada);
    for (const [shot, path] of places) {
      await page.goto(url() + path);
      // As it is once its live parts are connected.
      if ((await page.locator("leptos-island").count()) > 0) await expect(page.locator("html.live")).toBeAttached();
      if (shot === "console") await expect(page.locator(".xterm-rows")).toContainText(/login:/);
      if (shot.startsWith("job-")) await expect(page.locator(".log .line").first()).toBeVisible();
      await look(shot);
    }
    await page.goto(`${url()}/machines/${running}`);
    await page.getByText("More", { exact: true }).click();
    await look("menu");
    await page.goto(`${url()}/`);
    await page.getByLabel(`Select ${running}`).check();
    await look("selected");
    await page.goto(`${url()}/machines/new`);
    await page.getByLabel("Name (required)").fill("Not A Name");
    await page.getByRole("textbox", { name: "Memory" }).fill("lots");
    await page.getByRole("button", { name: "Create and start" }).click();
    await expect(page.locator("#memory-error")).toBeVisible();
    await look("mistakes");
    expect(problems, "the browser complained").toEqual([]);
    await context.close();
  });
}

test("the theme switch is remembered and sets before the first paint", async ({ page }) => {
  await login(page, ada);
  await page.waitForLoadState();
  const theme = page.getByRole("button", { name: /^Theme/ });
  await theme.click();
  const chosen = await page.evaluate(() => document.documentElement.dataset.theme);
  expect(["light", "dark"]).toContain(chosen);
  await page.reload();
  expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe(chosen);
});

test("a tap shows a time exactly, and the next one hides it", async ({ browser }) => {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, hasTouch: true });
  const page = await context.newPage();
  await login(page, ada);
  await page.goto(`${url()}/jobs`);
  const time = page.locator("time").first();
  const exact = () => time.evaluate((element) => getComputedStyle(element, "::after").content);
  expect(await exact()).toBe("none");
  await time.tap();
  expect(await exact()).toMatch(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/);
  await fitsWindow(page);
  await page.getByRole("heading").first().tap();
  expect(await exact()).toBe("none");
  await context.close();
});

test("a machine's card on a phone is low, and shows the rest on a tap, without JavaScript as well", async ({ browser }) => {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, hasTouch: true, javaScriptEnabled });
    const page = await context.newPage();
    await login(page, ada);
    const card = page.locator("table.machines tbody tr", { hasText: running });
    await expect(card.getByRole("link", { name: running })).toBeVisible();
    await expect(card.getByText("Running")).toBeVisible();
    await expect(card.getByText(/^\d+\.\d+\.\d+\.\d+$/)).toBeVisible();
    await expect(card.getByRole("button", { name: `Shut down ${running}` })).toBeVisible();
    for (const one of await page.locator("table.machines tbody tr").all()) {
      expect((await one.boundingBox())?.height).toBeLessThanOrEqual(110);
    }
    const owner = card.locator("[data-label=Owner]");
    await expect(owner).toBeHidden();
    await card.locator("summary").tap();
    await expect(owner).toHaveText(ada.name);
    await fitsWindow(page);
    await context.close();
  }
});

test("the keyboard alone reaches the content, the form and its button", async ({ page }) => {
  await login(page, ada);
  await page.goto(`${url()}/machines/new`);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Several at once" })).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(page.getByLabel("Name (required)")).toBeFocused();
});

test("a machine that is being made comes first, with its progress and a way to cancel", async ({ page }) => {
  await login(page, ada);
  const first = page.locator("table.machines tbody tr").first();
  await expect(first).toContainText(making);
  await expect(first.getByRole("progressbar")).toBeVisible();
  await expect(first.getByRole("link", { name: /image/i })).toBeVisible();
  await first.getByRole("button", { name: /^Cancel/ }).click();
  // The failed one is gone again, and the list shows it by itself.
  await expect(page.locator("table.machines")).not.toContainText(making);
});
