/** What is refused: paths that lead nowhere, sockets from elsewhere, tickets that have been used. */
import { type Page, expect, test } from "@playwright/test";
import { ada, login, url } from "../support/people";

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
