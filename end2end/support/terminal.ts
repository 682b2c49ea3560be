/** A console page's terminal, as a person reads and types in it. */
import { type Locator, type Page, expect } from "@playwright/test";
import { BOOT } from "./people";

export class Terminal {
  private readonly rows: Locator;

  constructor(private readonly page: Page) {
    this.rows = page.locator(".xterm-rows");
  }

  /** Waits until the visible lines match. */
  async shows(what: RegExp): Promise<void> {
    await expect.poll(() => this.text(), { timeout: BOOT, message: `the console shows ${what}` }).toMatch(what);
  }

  /** Waits until the last line matches after not matching: earlier content does not count. */
  async comesTo(what: RegExp): Promise<void> {
    const last = async () => (await this.text()).split("\n").at(-1) ?? "";
    await expect.poll(last, { timeout: BOOT }).not.toMatch(what);
    await expect.poll(last, { timeout: BOOT, message: `the console comes to ${what}` }).toMatch(what);
  }

  /** Types as a keyboard does. */
  async type(text: string): Promise<void> {
    await this.page.locator(".xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
  }

  /** All visible lines. xterm pads with no-break spaces. */
  async text(): Promise<string> {
    const lines = await this.rows.locator("> div").allInnerTexts();
    return lines.map((line) => line.replaceAll("\u00a0", " ").trimEnd()).join("\n").trimEnd();
  }
}
