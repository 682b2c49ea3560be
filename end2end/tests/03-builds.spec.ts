/** Builds that do not go smoothly: one that fails after 100,000 lines, one that is cancelled, one that two people want, one that is followed over a bad line. */
import { type Page, expect, test } from "@playwright/test";
import { readFileSync } from "node:fs";
import { BROKEN, LAST_WORDS, LINES, TOLD, Teller, repairBroken } from "../support/flake";
import { Line } from "../support/line";
import {
  accessible, ada, addMember, complaints, describeMachine, grace, jobDone, login, newPerson, purge, rootPassword, state, url,
} from "../support/people";

test.describe.configure({ mode: "serial" });

const machine = "e2e-broken";
let page: Page;
let problems: string[];

test.beforeAll(async ({ browser }) => {
  const context = await browser.newContext();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
  problems = complaints(page);
  await login(page, ada);
});

test.afterAll(() => page.context().close());

test.afterEach(async ({}, info) => {
  await page.screenshot({ path: info.outputPath("end.png"), fullPage: true });
  expect(problems.splice(0), "the browser complained").toEqual([]);
});

/** Ticks a profile and a mode on the form of the images page, and asks for the image. */
async function askForImage(who: Page, profile: string, mode: string): Promise<void> {
  await who.goto(`${url()}/images`);
  const form = who.locator("form#build");
  await form.getByRole("checkbox", { name: new RegExp(profile) }).check();
  await form.getByRole("radio", { name: new RegExp(`^${mode}`) }).check();
  await form.getByRole("button", { name: "Build one image", exact: true }).click();
  await expect(who).toHaveURL(/\/jobs\/[^/]+$/);
}

const head = (who: Page) => who.locator("[data-live=job-head]");
const lines = (who: Page) => who.locator("[data-log=lines] .line .text");

test("a failing build shows the derivation and its last lines first, and its 100,000 lines stay smooth", async () => {
  await describeMachine(page, machine);
  await page.getByRole("checkbox", { name: new RegExp(BROKEN) }).check();
  await page.getByRole("textbox", { name: "Open TCP ports" }).fill("22\n8000:8010");
  // Double-clicked, submitted once.
  await page.getByRole("button", { name: "Create and start" }).dblclick();
  const failure = page.locator("[data-live=job-failure]");
  await expect(failure).toContainText("tiny-image-rootfs");
  await expect(failure.locator("pre")).toContainText(LAST_WORDS);
  await expect(head(page)).toContainText("Failed");
  const top = async (selector: string) => (await page.locator(selector).boundingBox())?.y ?? 0;
  expect(await top("[data-live=job-failure]")).toBeLessThan(await top(".steps"));
  expect(await top(".steps")).toBeLessThan(await top(".log"));

  // Followed completely to its end, without keeping all of it in the page.
  await page.locator(".log").scrollIntoViewIfNeeded();
  const last = lines(page).filter({ hasText: LAST_WORDS }).last();
  await expect(last).toBeInViewport();
  expect(await lines(page).count()).toBeLessThan(2_000);
  await page.getByLabel("Search the log").fill("compiling part 77777");
  await expect(page.locator("[data-log=found]")).toHaveText("1 of 1");
  await expect(page.locator(".line.current")).toBeInViewport();
  await expect(page.locator(".line.current")).toContainText("compiling part 77777");
  await page.getByLabel("Wrap").check();
  await page.getByLabel("Follow").check();
  await expect(last).toBeInViewport();
  await page.getByRole("button", { name: "Copy", exact: true }).click();
  await expect(page.locator("#announcement")).toHaveText("Copied");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(new Set(copied.match(/compiling part \d+$/gm)).size).toBe(LINES);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download" }).click();
  const file = readFileSync(await (await download).path(), "utf8");
  expect(new Set(file.match(/compiling part \d+$/gm)).size).toBe(LINES);
  await accessible(page);
});

test("its form opens again with every value but the password", async () => {
  const job = page.url();
  await page.getByRole("link", { name: "Edit and try again" }).click();
  await expect(page).toHaveURL(/\/machines\/new\?job=/);
  await expect(page.getByText("enter them again")).toBeVisible();
  await expect(page.getByLabel("Name (required)")).toHaveValue(machine);
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await expect(page.getByRole("textbox", { name: "Disk" })).toHaveValue("1");
  await expect(page.getByRole("textbox", { name: "Open TCP ports" })).toHaveValue("22\n8000:8010");
  await expect(page.getByRole("checkbox", { name: new RegExp(BROKEN) })).toBeChecked();
  await expect(page.getByLabel("Console password for “root”")).toHaveValue("");
  await page.goto(job);
});

test("once repaired it is tried again, and the machine runs", async () => {
  repairBroken(state());
  const failed = page.url();
  // The password has not been kept, so it cannot be retried as it was.
  await expect(page.getByRole("button", { name: "Try again" })).toHaveCount(0);
  await page.getByRole("link", { name: "Edit and try again" }).click();
  await page.getByLabel("Console password for “root”").fill(rootPassword);
  await page.getByRole("button", { name: "Create and start" }).click();
  await expect(page).toHaveURL(/\/jobs\//);
  await expect(page).not.toHaveURL(failed);
  await jobDone(page);
  // The progress of a build that has ended would be misleading.
  await expect(page.locator("[data-live=job-progress]")).toBeEmpty();
  await page.goto(`${url()}/machines/${machine}`);
  await expect(page.locator("[data-live=head]")).toContainText("Running");
  await purge(page, machine);
});

test("a running build is cancelled and reads as cancelled, not as failed; its form opens again", async () => {
  await askForImage(page, TOLD, "Semi-mutable");
  const teller = new Teller(state());
  teller.say("first words");
  await expect(lines(page).filter({ hasText: "first words" })).toBeVisible();
  await expect(page.locator("[data-live=job-progress]")).toContainText("tiny-image-rootfs");
  await head(page).getByRole("button", { name: "Cancel" }).click();
  await expect(head(page)).toContainText("Cancelled");
  await expect(page.locator(".steps li[data-state=failed]")).toHaveCount(0);
  await expect(page.locator("[data-live=job-failure]")).toBeEmpty();
  await expect(page.locator("[data-live=job-progress]")).toBeEmpty();
  teller.end();
  await page.getByRole("link", { name: "Edit and try again" }).click();
  await expect(page.locator("form#build").getByRole("checkbox", { name: new RegExp(TOLD) })).toBeChecked();
  await expect(page.getByRole("radio", { name: /^Semi-mutable/ })).toBeChecked();
});

test("two people who want one image at once get one build", async ({ browser }) => {
  await addMember(page);
  const member = await newPerson(browser, grace);
  await Promise.all([askForImage(page, TOLD, "Mutable"), askForImage(member, TOLD, "Mutable")]);
  expect(member.url()).toBe(page.url());
  const teller = new Teller(state());
  teller.say("heard by both");
  for (const who of [page, member]) await expect(lines(who).filter({ hasText: "heard by both" })).toHaveCount(1);
  // Administrators may stop it, and the user who started it; one who only joined may not.
  await expect(head(page).getByRole("button", { name: "Cancel" })).toBeVisible();
  teller.end();
  await Promise.all([jobDone(page), jobDone(member)]);
  await page.goto(`${url()}/images`);
  await expect(page.getByRole("row", { name: /e2e-told.*Mutable/ })).toHaveCount(1);
  await member.context().close();
});

test("a log that is followed over a line that breaks has every line once", async ({ browser }) => {
  const line = await Line.open();
  const far = await newPerson(browser, ada, line.url);
  await askForImage(page, TOLD, "Immutable");
  await far.goto(page.url().replace(url(), line.url));
  const teller = new Teller(state());
  teller.say("told 1", "told 2");
  await expect(lines(far).filter({ hasText: "told 2" })).toBeVisible();
  await line.cut();
  await expect(far.getByText("Not live")).toBeVisible();
  teller.say("told 3", "told 4");
  await expect(lines(page).filter({ hasText: "told 4" })).toBeVisible();
  await line.restore();
  await expect(lines(far).filter({ hasText: "told 4" })).toBeVisible();
  teller.say("told 5");
  teller.end();
  await jobDone(far);
  expect(await lines(far).filter({ hasText: /^told \d$/ }).allInnerTexts()).toEqual([1, 2, 3, 4, 5].map((n) => `told ${n}`));
  await expect(far.getByText("Not live")).toBeHidden();
  await far.context().close();
  await line.cut();
});
