import assert from "node:assert/strict";
import { clean, control, input, inspect, newTab, open, press, signIn } from "./scenario.mjs";

// signInAtShop asks for a token of a user, as the client "shop" does, and returns the status.
async function signInAtShop(username, password) {
  const answer = await fetch(input.server + "/oauth/token", {
    method: "POST",
    body: new URLSearchParams({ grant_type: "password", client_id: "shop", client_secret: "shop-secret-shop-secret-shop-secret", username, password }),
  });
  return answer.status;
}

export const scenarios = {
  async "a locked user is found and unlocked, and signs in"() {
    for (let i = 0; i < 10; i++) await signInAtShop("john", "wrong");
    assert.equal(await signInAtShop("john", input.password), 400);

    const tab = await newTab();
    await signIn(tab, "root", "/users");
    await tab.locator("#search").pressSequentially("JOHN");
    await tab.waitForFunction(() => document.querySelectorAll("#list tbody tr").length === 2); // johnny too
    await tab.locator("#list").getByText("locked").waitFor();
    await press(tab, "john");
    await tab.getByText("Passwords of john from unknown addresses are refused until").waitFor();
    await inspect(tab, "a locked user");
    await press(tab, "Unlock");
    await tab.getByText("All failed sign-ins are forgotten").waitFor();
    assert.equal(await signInAtShop("john", input.password), 400, "unlocked before it was confirmed");
    await press(tab, "Unlock");
    await tab.getByText("The user is unlocked.").waitFor();
    assert.equal(await signInAtShop("john", input.password), 200);
    await tab.reload();
    assert.equal(await tab.getByText("The user is unlocked.").count(), 0);
    await tab.getByText("Everything from the known address").waitFor();
    clean(tab);
  },

  async "a user gets a code, and signs in with it"() {
    const tab = await newTab();
    await signIn(tab, "root", "/users/buyers/acme/johnny");
    await press(tab, "Send a code");
    await tab.selectOption("#f-ClientID", "shop");
    await press(tab, "Review the changes");
    await press(tab, "Send a code");
    await tab.getByText("The code is on its way.").waitFor();
    assert.equal(await signInAtShop("johnny", await control("/code?username=johnny")), 200);
    clean(tab);
  },

  async "a key is rotated as the plan says"() {
    const tab = await newTab();
    await signIn(tab, "root", "/keys");
    const before = await tab.locator("tbody tr").count();
    await press(tab, "Rotate");
    await tab.selectOption("#f-Alg", "ES256");
    await press(tab, "Review the changes");
    await tab.getByText("ES256: a new key will sign from").waitFor();
    await press(tab, "Rotate");
    await tab.getByText("The next key is").waitFor();
    assert.equal(await tab.locator("tbody tr").count(), before + 1);
    assert.ok(await tab.locator("svg[role=img] rect.key-announced").count() > 0);
    await inspect(tab, "a time line");
    clean(tab);
  },
};
