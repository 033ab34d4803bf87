import assert from "node:assert/strict";
import { clean, control, input, newTab, open, press, signIn } from "./scenario.mjs";

// askForCode asks for a code of jane, and returns the ID of the HTTP request.
async function askForCode() {
  const answer = await fetch(input.server + "/v1/password/onetimepassword", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ClientID: "shop", Username: "jane" }),
  });
  assert.equal(answer.status, 204);
  return answer.headers.get("X-Request-Id");
}

// redeem signs jane in with a code.
async function redeem(code) {
  const answer = await fetch(input.server + "/oauth/token", {
    method: "POST", body: new URLSearchParams({ grant_type: "password", client_id: "shop", client_secret: "shop-secret-shop-secret-shop-secret", username: "jane", password: code }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

// find looks for a code on the first page until its only request is shown with the text.
async function find(tab, word, text) {
  for (let tries = 0; ; tries++) {
    await open(tab, "/");
    await tab.fill("#find", word);
    await press(tab, "Find");
    await tab.waitForLoadState();
    if (await tab.getByText(text).count()) return;
    assert.ok(tries < 50, `${text} is not shown: ${await tab.textContent("main")}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

// sendAgain sends the dead message of a timeline again, and waits until it is delivered. The
// page updates itself.
async function sendAgain(tab) {
  await press(tab, "Send again");
  await tab.getByText("A new code is made and sent").waitFor();
  await press(tab, "Send again");
  await tab.getByText("A new code is on its way.").waitFor();
  await tab.getByText("Accepted by the receiver").waitFor();
}

export const scenarios = {
  async "codes: find an undelivered code by the ID of its request, send it again"() {
    const tab = await newTab();
    await signIn(tab, "root", "/home");
    await control("/receiver?status=410");
    const id = await askForCode();
    await find(tab, id, "receiver answered 410");
    await tab.locator(".state", { hasText: "not deliverable" }).first().waitFor();
    await tab.locator("main").getByText(id).waitFor();
    await control("/receiver?status=200");
    await sendAgain(tab);
    await redeem(await control("/code?username=jane"));
    await tab.reload();
    await tab.getByText("The user has used the code.").waitFor();
    clean(tab);
  },

  async "codes: a dead letter is delivered after mending the sender"() {
    const tab = await newTab();
    await signIn(tab, "root", "/senders/sink/edit");
    const inbox = await control("/receiver?status=200");
    const changeURL = async (url) => {
      await open(tab, "/senders/sink/edit");
      await tab.fill("#f-URL", url);
      await press(tab, "Review the changes");
      await tab.getByText("This will change:").waitFor();
      await press(tab, "Save");
      await tab.waitForURL("**/senders/sink");
    };
    await changeURL(input.control + "/gone");
    const id = await askForCode();
    await find(tab, id, "receiver answered 410");
    const dead = tab.url();
    await open(tab, "/home");
    const light = tab.locator(".light.failing", { hasText: "Undeliverable messages" });
    await light.getByText("sink").waitFor();
    await changeURL(inbox + "/{messagetype}");
    await tab.goto(dead);
    await sendAgain(tab);
    assert.notEqual(tab.url(), dead);
    await redeem(await control("/code?username=jane"));
    clean(tab);
  },

  async "codes: a test message survives a reload, without JavaScript too"() {
    for (const javaScriptEnabled of [true, false]) {
      const tab = await newTab({ javaScriptEnabled });
      await signIn(tab, "root", "/senders/sink/test");
      await tab.fill("#f-To", "me@example.com");
      await press(tab, "Review the changes");
      await press(tab, "Send now");
      await tab.getByText("The test message is being sent.").waitFor();
      assert.equal(await control("/code?username=test"), "TEST");
      for (let tries = 0; !(await tab.getByText("The receiver has accepted it.").count()); tries++) {
        assert.ok(tries < 50);
        await new Promise((done) => setTimeout(done, 200));
        if (!javaScriptEnabled) await tab.reload();
      }
      await tab.reload();
      await tab.getByText("The receiver has accepted it.").waitFor();
      clean(tab);
    }
  },
};
