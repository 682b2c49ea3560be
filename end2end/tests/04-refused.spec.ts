/** What is refused: paths that lead nowhere, sockets from elsewhere, tickets that have been used. */
import { type Page, expect, test } from "@playwright/test";
import { ada, login, rootPassword, url } from "../support/people";

test("what is not a page is told so, with its status", async ({ page }) => {
  await login(page, ada);
  for (const path of ["/machines/nobody-here", "/jobs/0198b2c0-0000-7000-8000-000000000000", "/nothing"]) {
    const answer = await page.goto(url() + path);
    expect(answer?.status(), path).toBe(404);
    await expect(page.getByRole("heading").first()).toBeVisible();
  }
});

test("a socket opens from our own page, with its ticket, once", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  await login(page, ada);
  const ticket = await page.evaluate(async () => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ purpose: { purpose: "events" } });
    const answer = await fetch("/api/ticket", { method: "POST", headers, body });
    return (await answer.json()) as string;
  });
  const knock = (from: Page) => from.evaluate((address) => new Promise<string>((resolve) => {
    const socket = new WebSocket(address);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  }), `${url().replace("http", "ws")}/ws/events?ticket=${encodeURIComponent(ticket)}`);
  // A page of another origin, in the same browser and with a valid ticket.
  const foreign = await page.context().newPage();
  await foreign.goto("data:text/html,<p>elsewhere</p>");
  expect(await knock(foreign)).toBe("refused");
  expect(await knock(page)).toBe("open");
  expect(await knock(page)).toBe("refused");
  await page.context().close();
});

test("a password is asked for again, and Enter does what the form is for", async ({ page }) => {
  await login(page, ada);
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill("e2e-refused");
  await page.getByLabel("Console password for “root”").fill(rootPassword);
  const ports = page.getByRole("textbox", { name: "Open TCP ports" });
  await ports.fill("99999");
  await page.getByLabel("Name (required)").press("Enter");
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("2 fields need to be corrected");
  await expect(alert).toContainText("Open TCP ports: “99999”");
  const missing = page.locator("#root_password-error");
  await expect(missing).toContainText("Enter this again");
  await ports.fill("22");
  await ports.blur();
  await expect(page.locator("#tcp_ports-error")).toBeHidden();
  await expect(missing).toBeVisible();
  await page.getByRole("button", { name: "Save configuration only" }).click();
  await expect(alert).not.toContainText("2 fields");
  await expect(alert).toContainText("Console password for “root”: Enter this again");
  await page.getByLabel("Leave it empty").check();
  await expect(missing).toBeHidden();
  expect((await page.goto(`${url()}/machines/e2e-refused`))?.status()).toBe(404);
});

test("what is wrong with a group of controls stays when the scripts have started", async ({ page }) => {
  await login(page, ada);
  await page.goto(`${url()}/machines/new`);
  await page.getByLabel("Name (required)").fill("e2e-refused");
  const modes = page.locator("[name=mode]");
  await modes.evaluateAll((all) => all.forEach((mode) => { (mode as HTMLInputElement).checked = false; }));
  await page.getByRole("button", { name: "Save configuration only" }).click();
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("Mode: ");
  await expect(modes.first()).toBeFocused();
  // What the server says to this comes with what it says to the mode.
  await page.getByRole("textbox", { name: "Memory" }).fill("x");
  await expect(page.locator("#memory-error")).toBeVisible();
  await expect(page.locator("#mode-error")).toBeVisible();
  await expect(alert).toBeVisible();
  await page.getByRole("textbox", { name: "Memory" }).fill("256");
  await modes.first().check();
  await expect(page.locator("#mode-error")).toBeHidden();
  await expect(alert).toBeHidden();
});
