/** Many machines from one pasted text: what is wrong stands in the table, and what is corrected runs on a real libvirt. */
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import { accessible, ada, fitsWindow, jobDone, login, purge, tappable, url } from "../support/people";
import { virsh } from "../support/portal";

test.describe.configure({ mode: "serial" });

const names = ["e2e-batch-1", "e2e-batch-2"] as const;
// One processor: see `describeMachine`.
const wrong = `name,memory,vcpus,disk,notes
${names[0]},256,1,1,"the first; of two"
${names[1]},256,1,lots,
E2E Batch 3,256,1,1,
`;
const right = `[defaults]
memory = 256
vcpus = 1
disk = 1

[[machine]]
name = "${names[0]}"
notes = "the first; of two"

[[machine]]
name = "${names[1]}"
`;

let context: BrowserContext;
let page: Page;

const text = (on: Page) => on.getByRole("textbox", { name: "Machines" });
const machine = (on: Page, name: string) => on.locator("table.batch tbody").filter({ has: on.getByRole("rowheader", { name }) });

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  page = await context.newPage();
  await login(page, ada);
});

test.afterAll(async () => {
  for (const name of names) await purge(page, name);
  await context.close();
});

test("what is wrong stands beside its cell, and the text stays", async ({}, info) => {
  await page.goto(`${url()}/`);
  await page.getByRole("link", { name: "Several at once" }).click();
  await expect(page).toHaveURL(`${url()}/machines/new/batch`);
  await accessible(page);
  await text(page).fill(wrong);
  await page.getByRole("button", { name: "Check" }).click();
  await expect(page.getByText("2 of 3 machines have errors.")).toBeVisible();
  await expect(machine(page, names[1]).getByRole("cell", { name: /lots/ })).toContainText("The disk in GiB must be a whole number.");
  await expect(machine(page, "E2E Batch 3").getByRole("rowheader")).toContainText("must start with a lower-case letter");
  await expect(machine(page, names[0])).toContainText("the first; of two");
  await expect(page.getByRole("button", { name: /^Create/ })).toHaveCount(0);
  await expect(text(page)).toHaveValue(wrong);
  await accessible(page);
  await page.screenshot({ path: info.outputPath("wrong.png"), fullPage: true });
});

test("the same on a phone and without JavaScript, from a file", async ({ browser }, info) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 }, hasTouch: true });
  const phone = await plain.newPage();
  await login(phone, ada);
  await phone.goto(`${url()}/machines/new`);
  await phone.getByRole("link", { name: "Several at once" }).click();
  await fitsWindow(phone);
  await phone.getByText("Formats and names").click();
  await fitsWindow(phone);
  await tappable(phone);
  await phone.screenshot({ path: info.outputPath("empty.png"), fullPage: true });
  await phone.getByLabel("File").setInputFiles({ name: "machines.csv", mimeType: "text/csv", buffer: Buffer.from(wrong) });
  await phone.getByRole("button", { name: "Check" }).click();
  await expect(phone.getByText("2 of 3 machines have errors.")).toBeVisible();
  await expect(text(phone)).toHaveValue(wrong);
  await fitsWindow(phone);
  await phone.screenshot({ path: info.outputPath("wrong.png"), fullPage: true });
  await text(phone).fill("name,memroy\nweb,1\n");
  await phone.getByRole("button", { name: "Check" }).click();
  await expect(phone.locator("#text-error")).toContainText("did you mean “memory”");
  await text(phone).fill(right);
  await phone.getByRole("button", { name: "Check" }).click();
  await expect(phone.getByText("2 machines, read as TOML. Nothing has been created yet.")).toBeVisible();
  await phone.getByText("What will happen").first().click();
  await fitsWindow(phone);
  await phone.screenshot({ path: info.outputPath("right.png"), fullPage: true });
  await plain.close();
});

test("corrected, each becomes a job, and both run", async ({}, info) => {
  await text(page).fill(right);
  await page.getByRole("button", { name: "Check" }).click();
  await expect(page.getByText("Together 512 MiB of memory, 2 processors and 2 GiB of disk.")).toBeVisible();
  await accessible(page);
  await page.screenshot({ path: info.outputPath("right.png"), fullPage: true });
  expect(virsh("list", "--all")).not.toContain(names[0]);
  await page.getByRole("button", { name: "Create 2 machines" }).click();
  await expect(page).toHaveURL(`${url()}/jobs`);
  for (const name of names) {
    await page.goto(`${url()}/jobs`);
    await page.getByRole("link", { name: `Create ${name}` }).first().click();
    await jobDone(page);
    await page.goto(`${url()}/machines/${name}`);
    await expect(page.locator("[data-live=head]")).toContainText("Running");
  }
  for (const name of names) expect(virsh("list", "--name")).toContain(name);
  await page.goto(`${url()}/audit`);
  await page.getByLabel("Machine, user or host").fill(names[1]);
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.locator("table.audit")).toContainText("Create");
});

test("a name that was taken meanwhile is refused, and nothing else is begun", async () => {
  await page.goto(`${url()}/machines/new/batch`);
  await text(page).fill(`create-batch ${names[0]} core 256 1 1G\ncreate-batch e2e-batch-4 core 256 1 1G\n`);
  await page.getByRole("button", { name: "Check" }).click();
  await expect(machine(page, names[0]).getByRole("rowheader")).toContainText("There already is a machine");
  await expect(page.getByText("1 of 2 machines has an error.")).toBeVisible();
  expect((await page.goto(`${url()}/machines/e2e-batch-4`))?.status()).toBe(404);
});

test("what was changed after the check is shown before it is created, and a file that is far too large is said to be", async () => {
  await page.goto(`${url()}/machines/new/batch`);
  await text(page).fill("name,memory,disk\ne2e-batch-5,256,1\n");
  await page.getByRole("button", { name: "Check" }).click();
  await text(page).fill("name,memory,disk\ne2e-batch-5,256,1\ne2e-batch-6,256,1\n");
  await page.getByRole("button", { name: "Create 1 machine" }).click();
  await expect(page.getByText("The text has changed since it was checked")).toBeVisible();
  await expect(page.getByRole("button", { name: "Create 2 machines" })).toBeVisible();
  await page.getByLabel("File").setInputFiles({ name: "image.csv", mimeType: "text/csv", buffer: Buffer.alloc(3 << 20, "x") });
  await page.getByRole("button", { name: "Check" }).click();
  await expect(page.getByText("This is more than 1024 KiB")).toBeVisible();
});
