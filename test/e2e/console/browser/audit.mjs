import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { clean, input, newTab, open, press, signIn } from "./scenario.mjs";

// verify starts a verification of the chain of audit events, and waits for its end.
async function verify(tab) {
  await press(tab, "Verify the chain");
  await press(tab, "Review the changes");
  await press(tab, "Start");
  await tab.getByText("The verification has started.").waitFor();
  await tab.getByText("The record is whole").waitFor(); // the page asks again by itself
}

export const scenarios = {
  async "audit: an AuditReader sees audit events and nothing else"() {
    const tab = await newTab();
    await signIn(tab, "audrey");
    await tab.waitForURL("**/console/audit");
    assert.deepEqual(await tab.locator("nav li").allTextContents(), ["Audit"]);
    await tab.waitForTimeout(1000); // audit events are stored in batches
    await tab.selectOption("#a-period", "week");
    await tab.fill("#a-action", "sign_in");
    await tab.waitForURL((url) => url.searchParams.get("Action") === "sign_in" && url.searchParams.get("period") === "week");
    await tab.locator("#list tbody tr").filter({ hasText: "audrey" }).first().waitFor();
    assert.ok((await tab.locator("#list tbody th").allTextContents()).every((action) => action.trim() === "sign_in"));
    const [filtered] = await Promise.all([tab.waitForEvent("download"), press(tab, "Export these events")]);
    assert.match(filtered.url(), /Action=sign_in/);
    await tab.locator("td.when a").first().click();
    await press(tab, "All events of this request");
    await tab.getByText("The oldest event comes first.").waitFor();
    const [download] = await Promise.all([tab.waitForEvent("download"), press(tab, "Export these events")]);
    const lines = (await readFile(await download.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(lines.length > 0 && lines.every((line) => line.request_id === lines[0].request_id));
    await press(tab, "Chain: is the record whole?");
    await verify(tab);
    await tab.reload();
    await tab.getByText("The record is whole").waitFor();
    for (const { path } of Object.values(input.screens)) {
      const answer = await open(tab, path).catch(() => undefined); // a download is no page
      if (!path.startsWith("/audit")) assert.equal(answer.status(), 403, path);
    }
    clean(tab);
  },

  async "audit: a lockout policy is replayed before it is saved"() {
    const tab = await newTab();
    for (let i = 0; i < 4; i++) {
      await fetch(input.server + "/oauth/token", { method: "POST", body: new URLSearchParams({
        grant_type: "password", client_id: "shop", client_secret: "shop-secret-shop-secret-shop-secret", username: "jane", password: "wrong" + i,
      }) });
    }
    await tab.waitForTimeout(1500); // audit events are stored in batches
    await signIn(tab, "root", "/profiles/default/edit");
    await tab.fill("#f-AllowedFailedAttempts", "3");
    await press(tab, "Review the changes");
    await tab.locator("svg path.proposed").waitFor();
    await press(tab, "Replay over the recorded sign-ins first");
    await tab.getByText("default/jane").waitFor(); // the page asks again by itself
    await tab.reload();
    await press(tab, "Save this policy …");
    await tab.getByText("This will change:").waitFor();
    await press(tab, "Save the profile");
    await tab.waitForURL("**/profiles/default");
    await tab.getByText("after 3 failures").waitFor();
    clean(tab);
  },

  async "audit: operations of the API are tried"() {
    const tab = await newTab();
    await signIn(tab, "clara", "/api");
    await tab.locator("#search").pressSequentially("Create a ApiClient");
    await tab.waitForURL((url) => url.searchParams.get("search") === "Create a ApiClient");
    await tab.locator("#list a").filter({ hasText: "/v1/apiclients" }).first().click();
    await tab.fill("#f-body", '{"ID":"by-page","AppName":"By the page","Active":true}');
    await press(tab, "Show the request");
    await tab.getByText("It is sent when you confirm it.").waitFor();
    await press(tab, "Send the request");
    await tab.locator(".state", { hasText: "201 Created" }).waitFor();
    await open(tab, "/api/apiclients.Get");
    await tab.locator("#f-path-apiClientID").fill("by-page");
    await press(tab, "Send");
    await tab.getByText('"AppName": "By the page"').waitFor();
    clean(tab);
  },
};
