// What the scenarios share: a browser, authorization requests, and checks of a page.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const input = JSON.parse(process.env.INPUT);

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({ executablePath: input.chromium, args: ["--no-sandbox"] });

// newTab returns a page of a new browser profile. It fails on requests to other origins
// than the server and the application, and on scripts that fail.
export async function newTab(options = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, ...options });
  const tab = await context.newPage();
  watch(tab);
  return tab;
}

export function watch(tab) {
  tab.foreign = [];
  tab.on("request", (r) => {
    const { origin } = new URL(r.url());
    if (origin !== input.server && origin !== input.application) tab.foreign.push(r.url());
  });
  tab.on("pageerror", (error) => tab.foreign.push(String(error)));
}

// request returns an authorization request and what redeems its code.
export function request(client = "loopback", more = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const state = randomBytes(9).toString("base64url");
  const url = new URL(input.server + "/oauth/authorize");
  const redirect = input.application + "/callback";
  url.search = new URLSearchParams({
    response_type: "code", client_id: client, redirect_uri: redirect, scope: "openid profile", state,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256", ...more,
  });
  return {
    url: url.href, state,
    async redeem(code) {
      const answer = await fetch(input.server + "/oauth/token", {
        method: "POST",
        body: new URLSearchParams({ grant_type: "authorization_code", client_id: client, redirect_uri: redirect, code, code_verifier: verifier }),
      });
      const tokens = await answer.json();
      assert.equal(answer.status, 200, JSON.stringify(tokens));
      assert.ok(tokens.id_token);
      return tokens;
    },
  };
}

// nextCode returns the one-time password that was sent last.
export async function nextCode() {
  const answer = await fetch(input.application + "/code");
  return answer.text();
}

// press presses the first button, which goes on.
export const press = (tab) => tab.locator("button").first().click();

// toCode goes to the page for the code, as a user of that name.
export async function toCode(tab, name = "jane") {
  await tab.fill("[autocomplete=username]", name);
  await press(tab);
  await tab.waitForSelector("[autocomplete=one-time-code]");
}

// enterCode types the code that was sent.
export async function enterCode(tab) {
  await tab.fill("[autocomplete=one-time-code]", await nextCode());
  await press(tab);
}

// arrived waits for the application, and redeems the code that it got.
export async function arrived(tab, attempt) {
  await tab.waitForURL(input.application + "/callback**");
  const got = JSON.parse(await tab.locator("pre").textContent());
  assert.equal(got.state, attempt.state);
  assert.ok(got.iss);
  assert.ok(got.code, JSON.stringify(got));
  assert.deepEqual(tab.foreign, []);
  await attempt.redeem(got.code);
  return got;
}

// inspect looks for violations of WCAG 2.2 AA in light and dark on small and large
// screens, and takes a picture of each.
export async function inspect(tab, name) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [320, 1280]) {
      await tab.emulateMedia({ colorScheme });
      await tab.setViewportSize({ width, height: 800 });
      const where = `${name}-${colorScheme}-${width}`;
      if (input.screenshots) await tab.screenshot({ path: `${input.screenshots}/${where}.png` });
      await tab.evaluate(axeSource);
      const { violations, passes } = await tab.evaluate(() => axe.run());
      assert.ok(passes.length > 5, where);
      assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [], where);
      const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${where} is ${overflow} px too wide`);
    }
  }
}
