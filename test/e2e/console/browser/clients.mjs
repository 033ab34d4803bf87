import assert from "node:assert/strict";
import { clean, control, input, newTab, open, openTab, press, signIn } from "./scenario.mjs";

// authenticates asks for a token of the client with a wrong password: invalid_grant says that
// the client has authenticated.
async function authenticates(id, secret) {
  const answer = await fetch(input.server + "/oauth/token", {
    method: "POST", body: new URLSearchParams({ grant_type: "password", client_id: id, client_secret: secret, username: "jane", password: "wrong" }),
  });
  const { error } = await answer.json();
  assert.match(error, /^invalid_(grant|client)$/);
  return error === "invalid_grant";
}

async function newSecret(tab, id, name, overlap) {
  await tab.waitForURL(`**/clients/${id}/new-secret`);
  await tab.fill("#f-Name", name);
  if (overlap) await tab.selectOption("#f-Overlap", overlap);
  await press(tab, "Review the changes");
  await press(tab, "Make the secret");
  await tab.waitForURL(`**/clients/${id}`);
  return (await tab.textContent("#secret-value")).trim();
}

export const scenarios = {
  async "create a client, use its secret, rotate it with an overlap"() {
    const tab = await newTab();
    await signIn(tab, "clara", "/clients");
    await press(tab, "Create a client");
    await press(tab, "A shop or app that asks for codes itself");
    await tab.fill("#f-AppName", "Corner Shop");
    await tab.fill("#f-ID", "corner-shop");
    await press(tab, "Review the changes");
    await press(tab, "Create the client");
    const first = await newSecret(tab, "corner-shop", "first");
    assert.ok(await authenticates("corner-shop", first));
    assert.ok(!(await authenticates("corner-shop", first + "x")));
    await tab.reload();
    assert.equal(await tab.locator("#secret-value").count(), 0, "the secret is shown twice");

    await press(tab, "Rotate: make another secret");
    const second = await newSecret(tab, "corner-shop", "second", "24");
    assert.ok((await authenticates("corner-shop", first)) && (await authenticates("corner-shop", second)));
    await control("/advance?hours=25");
    assert.ok(!(await authenticates("corner-shop", first)) && (await authenticates("corner-shop", second)));
    clean(tab);
  },

  async "two administrators edit one client"() {
    const root = await newTab(), clara = await newTab();
    await signIn(root, "root", "/clients/shop/edit");
    await signIn(clara, "clara", "/clients/shop/edit");
    await root.fill("#f-AppName", "Root's shop");
    await root.fill("#f-RefreshTokenDuration", "77");
    await press(root, "Review the changes");
    await clara.fill("#f-AccessTokenDuration", "33");
    await press(clara, "Review the changes");
    await press(clara, "Save");
    await clara.waitForURL("**/clients/shop");
    await new Promise((done) => setTimeout(done, 1500)); // audit events are stored in batches
    await press(root, "Save");
    await root.getByText("Somebody else has changed this").waitFor();
    await root.getByText("Changed by clara").first().waitFor();
    assert.equal(await root.inputValue("#f-AppName"), "Root's shop");
    assert.equal(await root.inputValue("#f-AccessTokenDuration"), "33");
    await press(root, "Review the changes");
    await press(root, "Save");
    await root.waitForURL("**/clients/shop");
    await root.getByText("33 minutes").waitFor();
    await root.getByText("77 minutes").waitFor();
    clean(root);
  },

  async "the session ends while a form is open"() {
    const tab = await newTab();
    await signIn(tab, "clara", "/clients/other/edit");
    await tab.fill("#f-AppName", "Typed for an hour");
    await tab.fill("#f-RedirectUris", "https://a.example/back\nhttps://b.example/back");
    await control("/advance?hours=13");
    await press(tab, "Review the changes");
    await tab.getByText("Your session has ended").waitFor();
    await tab.getByText("Typed for an hour").waitFor();
    const [second] = await Promise.all([tab.context().waitForEvent("page"), press(tab, "Sign in in another tab")]);
    await second.waitForSelector("#username");
    await second.fill("#username", "clara");
    await second.locator("main button").first().click();
    await second.click("button[value=password]");
    await second.fill("#password", input.password);
    await second.locator("main button").first().click();
    await second.waitForURL((url) => url.pathname.startsWith("/console"));
    await press(tab, "Continue with these entries");
    await tab.getByText("This will change:").waitFor();
    await press(tab, "Save");
    await tab.waitForURL("**/clients/other");
    await tab.getByText("Typed for an hour").first().waitFor();
    await tab.getByText("https://b.example/back").first().waitFor();
    clean(tab);
  },

  async "search live, and without JavaScript"() {
    const tab = await newTab();
    await signIn(tab, "carol", "/clients");
    assert.ok(await tab.locator("#list tbody tr").count() > 4);
    await tab.evaluate(() => { window.notReloaded = true; });
    await tab.locator("#search").pressSequentially("vendor");
    await tab.waitForFunction(() => document.querySelectorAll("#list tbody tr").length === 1);
    assert.ok(await tab.evaluate(() => window.notReloaded));
    assert.match(tab.url(), /search=vendor/);
    clean(tab);

    const plain = await newTab({ javaScriptEnabled: false });
    await signIn(plain, "carol", "/clients");
    await plain.fill("#search", "vendor");
    await press(plain, "Find");
    assert.equal(await plain.locator("#list tbody tr").count(), 1);
  },

  async "work with the keyboard, in German, in the zone of the viewer"() {
    const tab = await newTab({ locale: "de-AT", permissions: ["clipboard-read", "clipboard-write"] });
    await signIn(tab, "clara", "/clients");
    await open(tab, "/clients");
    await tab.keyboard.press("Tab");
    assert.equal(await tab.evaluate(() => document.activeElement.className), "skip");
    await tab.keyboard.press("Enter");
    assert.equal(await tab.evaluate(() => document.activeElement.id), "main");
    assert.equal(await tab.getAttribute("html", "lang"), "de");
    await open(tab, "/clients/shop/new-secret");
    await tab.fill("#f-Name", "Wien");
    await tab.fill("#f-Expiration", "2031-01-02T12:00");
    await press(tab, "Änderungen prüfen");
    await press(tab, "Geheimnis erzeugen");
    const secret = (await tab.textContent("#secret-value")).trim();
    await tab.locator("[data-copy=secret-value]").click();
    await tab.getByText("Kopiert").waitFor();
    assert.equal(await tab.evaluate(() => navigator.clipboard.readText()), secret);
    const time = tab.locator("time").filter({ hasText: "2031" });
    assert.equal(await time.getAttribute("title"), "2031-01-02T11:00:00Z");
    assert.match(await time.textContent(), /^2031-01-02 12:00:00 CET$/);
    await tab.getByText("English").click();
    assert.equal(await tab.getAttribute("html", "lang"), "en");
    clean(tab);
  },

  async "a second tab after signing out"() {
    const tab = await newTab();
    await signIn(tab, "root", "/clients");
    const other = await openTab(tab.context());
    await open(other, "/clients");
    await tab.locator(".who button").click();
    await tab.getByText("You have signed out.").waitFor();
    await open(other, "/clients");
    await other.waitForSelector("#username");
  },
};
