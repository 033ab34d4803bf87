// Signs people in at the pages in Chromium. Each scenario throws unless all is as it
// should be.
import assert from "node:assert/strict";
import { arrived, browser, enterCode, input, inspect, newTab, nextCode, press, request, toCode, watch } from "./scenario.mjs";

const scenarios = {
  async "sign in with JavaScript"() {
    const tab = await newTab();
    const attempt = request();
    await tab.goto(attempt.url);
    assert.equal(await tab.evaluate(() => document.activeElement.id), "username");
    await toCode(tab);
    assert.match(await tab.textContent("#left"), /^(10:00|9:5\d)$/);
    await enterCode(tab);
    await arrived(tab, attempt);
  },

  async "sign in without JavaScript"() {
    const tab = await newTab({ javaScriptEnabled: false });
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab);
    assert.equal(await tab.textContent("#left"), "10");
    await enterCode(tab);
    await arrived(tab, attempt);
  },

  async "go on with the keyboard alone"() {
    const tab = await newTab();
    const attempt = request();
    await tab.goto(attempt.url);
    await tab.keyboard.type("jane");
    await tab.keyboard.press("Enter");
    await tab.waitForSelector("[autocomplete=one-time-code]");
    await tab.keyboard.type(await nextCode());
    await tab.keyboard.press("Enter");
    await arrived(tab, attempt);
  },

  async "paste a code with spaces"() {
    const tab = await newTab({ permissions: ["clipboard-read", "clipboard-write"] });
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab);
    const code = await nextCode();
    const spaced = ` ${code.slice(0, 4)}-${code.slice(4)} \n`;
    await tab.evaluate((text) => navigator.clipboard.writeText(text), spaced);
    await tab.focus("#code");
    await tab.keyboard.press("Control+V");
    assert.equal(await tab.inputValue("#code"), code);
    await press(tab);
    await arrived(tab, attempt);
  },

  async "see the code expire"() {
    const tab = await newTab();
    await tab.clock.install();
    await tab.goto(request().url);
    await toCode(tab);
    await nextCode();
    await tab.clock.runFor(601_000);
    assert.equal(await tab.textContent("#life[role=status]"), "The code has expired. Send another one.");
  },

  async "use another code, and another name"() {
    const tab = await newTab();
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab, "nobody");
    await tab.click("text=Use another username");
    await toCode(tab);
    await nextCode();
    await tab.click("text=Send another code");
    await tab.waitForSelector("[role=status]");
    await enterCode(tab);
    await arrived(tab, attempt);
  },

  async "press back and reload"() {
    const tab = await newTab();
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab);
    const code = await nextCode();
    await tab.reload();
    await tab.fill("#code", "wrong");
    await press(tab);
    await tab.waitForSelector("[role=alert]");
    await tab.reload();
    await tab.goBack();
    await tab.waitForSelector("[autocomplete=one-time-code]");
    await tab.goForward();
    await tab.fill("#code", code);
    await press(tab);
    const first = await arrived(tab, attempt);
    await tab.goBack();
    const second = await arrived(tab, attempt);
    assert.notEqual(second.code, first.code);
  },

  async "ask again without JavaScript"() {
    const tab = await newTab({ javaScriptEnabled: false });
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab);
    await enterCode(tab);
    const first = await arrived(tab, attempt);
    await tab.goto(attempt.url);
    const second = await arrived(tab, attempt);
    assert.notEqual(second.code, first.code);
  },

  async "press twice"() {
    const tab = await newTab();
    const attempt = request();
    await tab.goto(attempt.url);
    await toCode(tab);
    await tab.fill("#code", await nextCode());
    await tab.evaluate(() => {
      const form = document.forms[0];
      form.submit();
      form.submit();
    });
    await arrived(tab, attempt);
  },

  async "sign in on a second tab first"() {
    const first = await newTab();
    const attempt = request();
    await first.goto(attempt.url);
    await toCode(first);
    await nextCode();
    const second = await first.context().newPage();
    watch(second);
    const other = request();
    await second.goto(other.url);
    await toCode(second);
    await enterCode(second);
    await arrived(second, other);
    await first.fill("#code", "stale");
    await press(first);
    await arrived(first, attempt);
  },

  async "answer by form_post"() {
    for (const javaScriptEnabled of [true, false]) {
      const tab = await newTab({ javaScriptEnabled });
      const attempt = request("loopback", { response_mode: "form_post" });
      await tab.goto(attempt.url);
      await toCode(tab);
      await enterCode(tab);
      if (!javaScriptEnabled) await press(tab);
      const got = await arrived(tab, attempt);
      assert.equal(got.method, "POST");
    }
  },

  async "post a form to another origin"() {
    const tab = await newTab();
    await tab.goto(request().url);
    const refused = await tab.evaluate((target) => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (e) => resolve(e.effectiveDirective));
      const form = document.body.appendChild(document.createElement("form"));
      form.method = "post";
      form.action = target;
      form.submit();
    }), input.application.replace("127.0.0.1", "localhost") + "/callback");
    assert.equal(refused, "form-action");
    assert.ok(tab.url().startsWith(input.server));
  },

  async "look at every page"() {
    const tab = await newTab();
    await tab.goto(request().url);
    await inspect(tab, "name");
    await toCode(tab);
    await nextCode();
    await inspect(tab, "code");
    await tab.fill("#code", "wrong");
    await press(tab);
    await tab.waitForSelector("[role=alert]");
    await inspect(tab, "code-wrong");
    await tab.click("text=Send another code");
    await tab.waitForSelector("[role=status]");
    await nextCode();
    await inspect(tab, "code-again");
    await tab.click("text=Use the password");
    await inspect(tab, "password");
    await tab.fill("#password", "wrong");
    await press(tab);
    await tab.waitForSelector("[role=alert]");
    await inspect(tab, "password-wrong");
    await tab.goto(input.server + "/oauth/authorize?client_id=nobody");
    await inspect(tab, "error");
    await tab.goto(input.server + "/oauth/signin");
    await inspect(tab, "error-start");
  },

  async "look at the pages after the sign-in"() {
    const tab = await newTab();
    await tab.goto(request().url);
    await toCode(tab, "mia");
    await enterCode(tab);
    await tab.waitForSelector("[name=account]");
    await inspect(tab, "account");
    await press(tab);
    await tab.waitForURL(input.application + "/callback**");
    await tab.goto(request("loopback", { prompt: "select_account" }).url);
    await inspect(tab, "resume");
    const consent = request("partner-app", { scope: "openid profile email phone offline_access Shopper" });
    await tab.goto(consent.url);
    await inspect(tab, "consent");
    await press(tab);
    await arrived(tab, consent);
    await tab.goto(input.server + "/oauth/end_session");
    await inspect(tab, "logout");
    await tab.click("text=Stay signed in");
    await tab.waitForSelector("[role=status]");
    await inspect(tab, "logout-stays");
    await tab.goto(input.server + "/oauth/end_session");
    await press(tab);
    await tab.waitForSelector("[role=status]");
    await inspect(tab, "logout-done");
    await tab.goto(input.server + "/oauth/end_session?client_id=nobody");
    await inspect(tab, "logout-error");
  },

  async "look at the pages in German"() {
    const tab = await newTab({ locale: "de-DE", javaScriptEnabled: true });
    await tab.route("**/page.js", (route) => route.abort()); // the form stays
    await tab.goto(request("loopback", { response_mode: "form_post" }).url);
    await inspect(tab, "name-de");
    await toCode(tab);
    await inspect(tab, "code-de");
    await enterCode(tab);
    await tab.waitForSelector("[data-submit]");
    await inspect(tab, "respond-de");
    await tab.goto(request("partner-app", { scope: "openid profile offline_access" }).url);
    await inspect(tab, "consent-de");
  },
};

let failed = 0;
for (const [name, scenario] of Object.entries(scenarios)) {
  if (input.only && !name.includes(input.only)) continue;
  try {
    await scenario();
    console.log("ok", name);
  } catch (error) {
    failed++;
    console.log("FAILED", name, error);
  }
  await Promise.all(browser.contexts().map((context) => context.close()));
}
await browser.close();
process.exit(failed ? 1 : 0);
