// What the scenarios share: a browser, signing in, and checks of a page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const input = JSON.parse(process.env.INPUT);

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({ executablePath: input.chromium, args: ["--no-sandbox"] });

// newTab returns a page of a new browser profile.
export async function newTab(options = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, timezoneId: "Europe/Vienna", ...options });
  return openTab(context);
}

// openTab returns a further page of a browser profile. It collects requests to other
// origins than the server, and scripts that fail.
export async function openTab(context) {
  const tab = await context.newPage();
  tab.faults = [];
  tab.on("request", (r) => {
    if (new URL(r.url()).origin !== input.server) tab.faults.push(r.url());
  });
  tab.on("pageerror", (error) => tab.faults.push(String(error)));
  tab.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) tab.faults.push(message.text());
  });
  return tab;
}

// signIn signs in with the permanent password, and goes to a path below /console.
export async function signIn(tab, username = "root", path = "/") {
  await tab.goto(input.server + "/console" + path);
  await tab.fill("#username", username);
  await tab.locator("main button").first().click();
  await tab.click("button[value=password]");
  await tab.fill("#password", input.password);
  await tab.locator("main button").first().click();
  await tab.waitForURL((url) => url.pathname.startsWith("/console"));
}

// open goes to a path below /console.
export const open = (tab, path) => tab.goto(input.server + "/console" + path);

// press presses a button or follows a link of the main part by its text.
export const press = (tab, text) => tab.locator("main").locator("button, a").getByText(text, { exact: true }).first().click();

// control asks the test for something: to move the clock, or for the code that a user was sent.
export async function control(path) {
  const answer = await fetch(input.control + path);
  assert.equal(answer.status, 200);
  return answer.text();
}

// clean fails if the tab sent a request elsewhere, or a script failed.
export const clean = (tab) => assert.deepEqual(tab.faults, []);

// inspect looks for violations of WCAG 2.2 AA in light and dark on small and large screens.
export async function inspect(tab, what) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [320, 1280]) {
      await tab.emulateMedia({ colorScheme });
      await tab.setViewportSize({ width, height: 800 });
      const where = `${what} ${colorScheme} ${width}`;
      await tab.evaluate(axeSource);
      const { violations, passes } = await tab.evaluate(() => axe.run());
      assert.ok(passes.length > 5, where);
      assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [], where);
      const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${where} is ${overflow} px too wide`);
    }
  }
}
