/** What a page does with a frame that it cannot read: it connects again, has what it missed, and goes on live. */
import { type Page, expect, test } from "@playwright/test";
import { TOLD, Teller } from "../support/flake";
import { Garbler } from "../support/garbler";
import { ada, jobDone, newPerson, state, url } from "../support/people";

/** Starts a build that prints what it is told; no test before has built it with this other profile. */
async function build(who: Page, other: string): Promise<void> {
  await who.goto(`${url()}/images`);
  const form = who.locator("form#build");
  await form.getByRole("checkbox", { name: new RegExp(TOLD) }).check();
  await form.locator(`input[type=checkbox][value=${other}]`).check();
  await form.getByRole("button", { name: "Build one image", exact: true }).click();
  await expect(who).toHaveURL(/\/jobs\/[^/]+$/);
}

/** Says so, connects again, and says so no more. */
async function recovered(page: Page, garbler: Garbler): Promise<void> {
  await expect(page.getByText("Not live: The portal was updated.")).toBeVisible();
  await expect(page.getByText("Not live")).toBeHidden();
  expect(garbler.connections).toBe(2);
}

test("the list of jobs", async ({ browser }) => {
  const [ours, other] = [await newPerson(browser, ada), await newPerson(browser, ada)];
  const garbler = await Garbler.of(ours, "/ws/events");
  await ours.goto(`${url()}/jobs`);
  await expect.poll(() => garbler.whole).toBeGreaterThan(0);
  garbler.garble();
  await build(other, "python");
  const link = ours.locator(`a[href="${new URL(other.url()).pathname}"]`);
  const row = ours.locator("[data-live=jobs] tr").filter({ has: link });
  await recovered(ours, garbler);
  await expect(row).toBeVisible();
  const teller = new Teller(state());
  teller.say("done");
  teller.end();
  await jobDone(other);
  await expect(row).toContainText("Done");
  await Promise.all([ours, other].map((page) => page.context().close()));
});

test("a job", async ({ browser }) => {
  const page = await newPerson(browser, ada);
  const garbler = await Garbler.of(page, "/ws/jobs/");
  await build(page, "rust");
  const lines = page.locator("[data-log=lines] .line .text").filter({ hasText: /^told \d$/ });
  const teller = new Teller(state());
  teller.say("told 1");
  await expect(lines).toHaveText(["told 1"]);
  garbler.garble();
  teller.say("told 2");
  await recovered(page, garbler);
  await expect(lines).toHaveText(["told 1", "told 2"]);
  teller.say("told 3");
  await expect(lines).toHaveText(["told 1", "told 2", "told 3"]);
  teller.end();
  await jobDone(page);
  await page.context().close();
});
