/** What goes wrong, as a person meets it: a build that fails, values that are kept, sockets that are refused. */
import { expect, test } from "@playwright/test";
import { writeFileSync, rmSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { ada, login, url } from "../support/people";

test("what is not a page is told so, with its status", async ({ page }) => {
  await login(page, ada);
  for (const path of ["/machines/nobody-here", "/jobs/0198b2c0-0000-7000-8000-000000000000", "/nothing"]) {
    const answer = await page.goto(url() + path);
    expect(answer?.status(), path).toBe(404);
    await expect(page.getByRole("heading").first()).toBeVisible();
  }
});

test("a socket from a foreign page is refused", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  await login(page, ada);
  const ticket = await page.evaluate(async () => {
    const answer = await fetch("/api/ticket", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ purpose: { purpose: "events" } }),
    });
    return answer.ok;
  });
  expect(ticket).toBe(true);
  // A page of another origin has the cookie's jar but not the origin.
  const foreign = await page.context().newPage();
  await foreign.goto("data:text/html,<p>elsewhere</p>");
  const outcome = await foreign.evaluate((ws) => new Promise((resolve) => {
    const socket = new WebSocket(ws);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  }), `${url().replace("http", "ws")}/ws/events?ticket=guess`);
  expect(outcome).toBe("refused");
  await page.context().close();
});
