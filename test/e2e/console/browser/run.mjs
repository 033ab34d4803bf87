// Uses the console in Chromium. Each file beside this one exports scenarios, which throw
// unless all is as it should be.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { browser, clean, input, inspect, newTab, open, signIn } from "./scenario.mjs";

const scenarios = {};
for (const file of readdirSync(import.meta.dirname).sort()) {
  if (file.endsWith(".mjs") && file !== "run.mjs" && file !== "scenario.mjs") Object.assign(scenarios, (await import("./" + file)).scenarios);
}

// eachScreen opens every screen of the table, as a user who may see it.
async function eachScreen(options, visit) {
  const tabs = {};
  for (const [name, { path, user }] of Object.entries(input.screens)) {
    if (!tabs[user]) await signIn((tabs[user] = await newTab(options)), user);
    await open(tabs[user], path);
    await visit(tabs[user], name);
    clean(tabs[user]);
  }
}

scenarios["inspect every screen"] = () => eachScreen({}, inspect);

// Pictures for the documentation. The screens of the three kinds of users look the same.
if (input.screenshots) {
  scenarios["take pictures"] = () => eachScreen({ viewport: { width: 1000, height: 640 } }, async (tab, name) => {
    if (!/^users-(admins|suppliers)-/.test(name)) await tab.screenshot({ path: `${input.screenshots}/${name}.png` });
  });
}

let failed = 0;
for (const [name, scenario] of Object.entries(scenarios)) {
  if (input.only && !name.includes(input.only)) continue;
  const began = Date.now();
  try {
    await scenario();
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
  await Promise.all(browser.contexts().map((context) => context.close()));
}
await browser.close();
assert.equal(failed, 0, `${failed} scenarios failed`);
