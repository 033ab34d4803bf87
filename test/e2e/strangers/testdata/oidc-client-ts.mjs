// Signs a user in with Chromium at an application that runs in the browser, on
// oidc-client-ts: by redirects, by its refresh token, in a hidden frame, and out again.
import express from 'express'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { chromium } from 'playwright-core'
import { assert, input, step } from './input.mjs'

const library = dirname(createRequire(import.meta.url).resolve('oidc-client-ts')) + '/../browser'
const app = express()
app.use('/library', express.static(library))
app.get('/', (_, response) =>
  response.send(`<!doctype html><html lang="en"><title>Application</title>
<script src="/library/oidc-client-ts.min.js"></script>
<script>
const base = location.origin + "/"
const manager = new oidc.UserManager({
  authority: ${JSON.stringify(input.issuer)}, client_id: "browser-application", scope: "openid email",
  redirect_uri: base, silent_redirect_uri: base, post_logout_redirect_uri: base, loadUserInfo: true, automaticSilentRenew: false,
})
const returned = new URLSearchParams(location.search).has("state")
const ready = (returned ? manager.signinCallback() : Promise.resolve()).then(() => { document.title = "Ready" })
</script></html>`),
)
const [host, port] = input.browser.split(':')
const server = app.listen(port, host)
const browser = await chromium.launch({ executablePath: input.chromium, args: ['--no-sandbox'] })
try {
  const tab = await browser.newPage()
  const home = `http://${input.browser}/`
  const start = async () => {
    await tab.evaluate(() => void manager.signinRedirect())
    await tab.waitForSelector('[autocomplete=username]')
  }
  const arrive = async () => {
    await tab.waitForURL(`${home}**`)
    await tab.waitForFunction(() => document.title === 'Ready')
  }
  const user = () => tab.evaluate(async () => {
    const user = await manager.getUser()
    return user && { email: user.profile.email, access: user.access_token, id: user.id_token, expired: user.expired }
  })

  await tab.goto(home)
  await start()
  await tab.fill('[autocomplete=username]', 'jane')
  await tab.keyboard.press('Enter')
  await tab.waitForSelector('[autocomplete=one-time-code]')
  await tab.fill('[autocomplete=one-time-code]', await (await fetch(input.codes)).text())
  await tab.keyboard.press('Enter')
  await arrive()
  const first = await user()
  assert.equal(first.email, 'jane@example.com')
  step('sign in by redirects')

  await tab.evaluate(() => manager.signinSilent())
  const second = await user()
  assert.equal(second.email, 'jane@example.com')
  assert.notEqual(second.access, first.access)
  step('renew by the refresh token')

  await tab.evaluate(() => manager.removeUser())
  await tab.evaluate(() => manager.signinSilent())
  const third = await user()
  assert.equal(third.email, 'jane@example.com')
  assert.notEqual(third.id, second.id)
  step('sign in silently in a hidden frame')

  const over = tab.waitForURL(home)
  await tab.evaluate(() => void manager.signoutRedirect())
  await over
  assert.equal(await user(), null)
  await start()
  step('sign out')
} finally {
  await browser.close()
  server.close()
}
