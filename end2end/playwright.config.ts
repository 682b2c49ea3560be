/**
 * The browser tests: real Chromium, the built wasm, the real portal over real Nix, libvirt and QEMU.
 *
 * `cargo xtask test --only e2e` builds what they need, gives them a private libvirt and sets the environment;
 * `cargo xtask test --only e2e -- NAME` runs one. Without it, support/portal.ts says which variable is missing.
 */
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  globalSetup: "./support/global-setup.ts",
  // One portal and one story: the files run in the order of their names, each test after the one before it.
  workers: 1,
  fullyParallel: false,
  // A test that passes on the second try is a bug that someone will hit.
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  // Limits end what hangs; nothing asked of the portal is measured by them. Machines are emulated if there is no KVM:
  // one boots in 10 s, or in minutes on a computer that is also compiling.
  timeout: 900_000,
  globalTimeout: 2_400_000,
  expect: { timeout: 120_000 },
  reporter: [["list"], ["html", { open: "never", outputFolder: "playwright-report" }]],
  use: {
    // A missing button is a bug, not something to wait for.
    actionTimeout: 60_000,
    locale: "en-GB",
    timezoneId: "UTC",
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.SNOWGLOBE_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
