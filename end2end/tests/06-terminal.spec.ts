/**
 * What a guest may do to the pages of its console's viewers: nothing but draw. No sequence of a few bytes may keep a page busy.
 */
import { expect, test } from "@playwright/test";
import { url } from "../support/people";

/** The largest parameter that xterm.js reads. */
const MOST = 2 ** 31 - 1;
const FINALS = Array.from({ length: 0x7f - 0x40 }, (_, n) => String.fromCharCode(0x40 + n));

/** Every control sequence there can be (ECMA-48 §5.4), with the largest numbers. */
const EVERY = ["", "?", ">", "=", "<"].flatMap((prefix) =>
  ["", " ", "!", '"', "#", "$", "'", "*"].flatMap((intermediate) =>
    FINALS.map((final) => `\x1b[${prefix}${MOST};${MOST}${intermediate}${final}`)));
/** Those that repeat something, with the largest count, one after another. */
const MANY = ["b", "L", "M", "S", "T", "I", "Z"].map((final) => `\x1b[500${final}`.repeat(200));

test("no control sequence keeps a viewer's page busy, whatever numbers a guest puts into it", async ({ page }, info) => {
  // Two thousand sequences, each waited for.
  test.setTimeout(300_000);
  await page.goto(`${url()}/login`);
  const measured = await page.evaluate(async ([every, many]) => {
    await import(`${location.origin}/pkg/terminal.js`);
    const terminal = Object.assign(document.createElement("serial-terminal"), { show: (_bytes: Uint8Array, _old: number) => {} });
    Reflect.deleteProperty(terminal, "show");
    document.body.append(terminal);
    // The longest time that the page was blocked.
    let longest = 0;
    let last = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      port2.postMessage("");
    };
    port2.postMessage("");
    const once = async (text: string) => {
      longest = 0;
      // Asked for its state (ECMA-48 DSR), the terminal answers once everything before it has been processed.
      const answered = new Promise((resolve) => terminal.addEventListener("typed", resolve, { once: true }));
      terminal.show(new TextEncoder().encode(`${text}\x1b[5n`), 0);
      await answered;
      return longest;
    };
    // Other load can only make it longer: the shortest of several tries counts.
    const busy = async (text: string) => {
      let least = Infinity;
      for (let tries = 0; tries < 10 && least > 100; tries++) least = Math.min(least, await once(text));
      return least;
    };
    await once("a line\r\n".repeat(20_000));
    const slowest: [string, number][] = [];
    for (const sequence of every) slowest.push([sequence, await busy(`\x1b[!p\x1b[10;10HZ${sequence}`)]);
    for (const sequence of many) slowest.push([sequence.slice(0, 6), await busy(`Z${sequence}`)]);
    port1.close();
    return slowest.sort((a, b) => b[1] - a[1]).slice(0, 20);
  }, [EVERY, MANY] as const);
  const told = measured.map(([sequence, ms]) => `${JSON.stringify(sequence)} ${ms.toFixed(1)} ms`);
  info.annotations.push({ type: "longest blocked moments", description: told.join(", ") });
  expect(measured.filter(([, ms]) => ms > 100), told.join("\n")).toEqual([]);
});
