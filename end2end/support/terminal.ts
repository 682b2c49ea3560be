/** A console page's terminal, as a person reads and types in it. */
import { type Locator, type Page, expect } from "@playwright/test";

export class Terminal {
  private readonly rows: Locator;

  constructor(private readonly page: Page) {
    this.rows = page.locator(".xterm-rows");
  }

  /** Waits until the visible lines match; with `anew`, until they do after having not. */
  async shows(what: RegExp, timeout = 60_000, anew = false): Promise<void> {
    if (anew) await expect.poll(() => this.lastLine(), { timeout }).not.toMatch(what);
    await expect.poll(() => this.text(), { timeout, message: `the console shows ${what}` }).toMatch(what);
  }

  /** Types as a keyboard does. */
  async type(text: string): Promise<void> {
    await this.page.locator(".xterm-helper-textarea").focus();
    await this.page.keyboard.type(text);
  }

  /** All visible lines. xterm pads with no-break spaces. */
  private async text(): Promise<string> {
    const lines = await this.rows.locator("> div").allInnerTexts();
    return lines.map((line) => line.replaceAll("\u00a0", " ").trimEnd()).join("\n").trimEnd();
  }

  private async lastLine(): Promise<string> {
    return (await this.text()).split("\n").at(-1) ?? "";
  }
}
