/**
 * A real machine is cloned while it runs: its copy boots under its own name, with what was on the disk and host keys of its own.
 */
import { type BrowserContext, type Page, expect, test } from "@playwright/test";
import {
  accessible, ada, BOOT, choose, createMachine, fitsWindow, jobDone, login, purge, rootPassword, tappable, url,
} from "../support/people";
import { inGuest, virsh } from "../support/portal";
import { Terminal } from "../support/terminal";

test.describe.configure({ mode: "serial" });

const machine = "e2e-source";
const copy = "e2e-copy";
const hostKey = "/var/identity/ssh_host_ed25519_key";
let context: BrowserContext;
let page: Page;

/** Waits until a guest's agent answers. */
async function answers(name: string): Promise<void> {
  const ping = () => {
    try {
      return virsh("qemu-agent-command", name, '{"execute":"guest-ping"}');
    } catch {
      return "";
    }
  };
  await expect.poll(ping, { timeout: BOOT }).toContain("return");
}

test.beforeAll(async ({ browser }) => {
  context = await browser.newContext();
  page = await context.newPage();
  await login(page, ada);
  await createMachine(page, machine);
  await answers(machine);
  await inGuest(machine, "echo Dear Ada >/var/letter");
});

test.afterAll(async () => {
  await purge(page, copy);
  await purge(page, machine);
  await context.close();
});

test("a copy opens with the machine's values and is planned while its name is typed", async ({}, info) => {
  await page.goto(`${url()}/machines/${machine}`);
  await choose(page, `Clone ${machine}`);
  await expect(page).toHaveURL(/\/do\/clone$/);
  await expect(page.getByRole("textbox", { name: "Memory" })).toHaveValue("256");
  await page.getByLabel("Name of the copy (required)").fill("e2e-{n}");
  await page.getByRole("textbox", { name: "Number of copies" }).fill("2");
  await expect(page.getByText(`Copy the disk of ${machine}, while it runs`)).toBeVisible();
  await accessible(page);
  await page.screenshot({ path: info.outputPath("form.png"), fullPage: true });
});

test("a machine that runs is cloned on a phone without JavaScript, and goes on running", async ({ browser }, info) => {
  const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  const phone = await plain.newPage();
  await login(phone, ada);
  await phone.goto(`${url()}/machines/${machine}/do/clone`);
  await fitsWindow(phone);
  await tappable(phone);
  await phone.screenshot({ path: info.outputPath("form.png"), fullPage: true });
  await phone.getByLabel("Name of the copy (required)").fill(copy);
  await phone.getByRole("textbox", { name: "Disk" }).fill("2");
  await phone.getByRole("checkbox", { name: "Start" }).check();
  await phone.getByRole("button", { name: "Clone", exact: true }).click();
  await expect(phone).toHaveURL(/\/jobs\//);
  await page.goto(phone.url());
  await plain.close();
  await jobDone(page);
  await expect(page.getByText("file systems stood still for").first()).toBeVisible();
  expect(virsh("domstate", machine)).toBe("running");
  await fitsWindow(page);
});

test("the copy runs under its own name with what was on the disk, and is nobody else", async () => {
  await page.goto(`${url()}/machines/${copy}/console`);
  const terminal = new Terminal(page);
  await terminal.shows(new RegExp(`${copy} login:`));
  await terminal.type("root\n");
  await terminal.shows(/Password:/);
  await terminal.type(`${rootPassword}\n`);
  await terminal.shows(/[#$] ?$/);
  await terminal.type("cat /var/letter\n");
  await terminal.shows(/Dear Ada/);
  await answers(copy);
  for (const own of [`cat ${hostKey}`, "cat /etc/machine-id", "cat /sys/class/net/e*/address", "hostname"]) {
    const [theirs, ours] = [await inGuest(machine, own), await inGuest(copy, own)];
    expect(ours, own).not.toBe("");
    expect(ours, own).not.toBe(theirs);
  }
  expect(virsh("domuuid", copy)).not.toBe(virsh("domuuid", machine));
  expect(Number(await inGuest(copy, "df -k /var | tail -n 1 | awk '{print $2}'"))).toBeGreaterThan(1_500_000);
});
