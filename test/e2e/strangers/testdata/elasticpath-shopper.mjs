import * as sdk from '@epcc-sdk/sdks-shopper'
import http from 'http'
import assert from 'assert'
// Elastic Path's generated SDK for storefronts.
const {
  issuer: base,
  store: { id, secret },
} = JSON.parse(process.env.INPUT)
const form = (o) => new URLSearchParams(o).toString()
const adminTok = await (
  await fetch(base + '/oauth/access_token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: form({ grant_type: 'client_credentials', client_id: id, client_secret: secret }),
  })
).json()
const admin = async (method, path, data) => {
  const r = await fetch(base + '/v2/' + path, {
    method,
    headers: { Authorization: 'Bearer ' + adminTok.access_token, 'Content-Type': 'application/json' },
    body: data ? JSON.stringify({ data }) : undefined,
  })
  const t = await r.text()
  if (!r.ok) throw new Error(method + path + r.status + t)
  return t ? JSON.parse(t) : null
}
let got
const message = new Promise((ok) => (got = ok))
const hook = http.createServer((q, s) => {
  let b = ''
  q.on('data', (c) => (b += c))
  q.on('end', () => {
    got(JSON.parse(b))
    s.end()
  })
})
await new Promise((r) => hook.listen(0, '127.0.0.1', r))
const s = await admin('PUT', 'settings/account-authentication', {
  type: 'account_authentication_settings',
  account_member_self_management: 'update_only',
})
const realm = s.data.relationships.authentication_realm.data.id
const profile = (
  await admin('POST', `authentication-realms/${realm}/password-profiles`, {
    type: 'password_profile',
    name: 'shopper',
    enable_one_time_password_token: true,
  })
).data.id
const name = 'sh' + Date.now().toString(36)
const member = (
  await admin('POST', `authentication-realms/${realm}/user-authentication-info`, {
    type: 'user_authentication_info',
    name: 'Sh Opper',
    email: name + '@example.com',
  })
).data.id
const info = (
  await admin(
    'POST',
    `authentication-realms/${realm}/user-authentication-info/${member}/user-authentication-password-profile-info`,
    {
      type: 'user_authentication_password_profile_info',
      password_profile_id: profile,
      username: name,
      password: 'permanent-Pass-1',
    },
  )
).data.id
await admin('POST', 'integrations', {
  type: 'integration',
  name: 'x',
  enabled: true,
  integration_type: 'webhook',
  observes: ['one-time-password-token-request.created'],
  configuration: { url: 'http://127.0.0.1:' + hook.address().port, secret_key: '' },
})
const acc = (await admin('POST', 'accounts', { type: 'account', name: 'Sh Acc' })).data.id
await admin('POST', `accounts/${acc}/account-memberships`, { type: 'account_membership', account_member_id: member })
const store = {}
const r0 = sdk.createShopperClient(
  { baseUrl: base },
  {
    clientId: id,
    storage: {
      get: () => store.v,
      set: (v) => {
        store.v = v
      },
    },
  },
)
const client = r0.client ?? r0
const req = await sdk.createOneTimePasswordTokenRequest({
  client,
  path: { realmId: realm, passwordProfileId: profile },
  body: { type: 'one_time_password_token_request', username: name, purpose: 'reset_password' },
})
assert.equal(req.response.status, 202, JSON.stringify(req.error))
const m = await message
console.log('ok request and webhook')
const t = await sdk.postV2AccountMembersTokens({
  client,
  body: {
    data: {
      type: 'account_management_authentication_token',
      authentication_mechanism: 'passwordless',
      password_profile_id: profile,
      username: name,
      one_time_password_token: m.payload.one_time_password_token,
    },
  },
})
assert.equal(t.response.status, 201, JSON.stringify(t.error))
console.log('ok tokens', t.data.data[0].account_name)
const up = await sdk.updatePasswordProfileInfo({
  client,
  headers: { 'EP-Account-Management-Authentication-Token': t.data.data[0].token },
  path: { realmId: realm, userAuthenticationInfoId: member, userAuthenticationPasswordProfileInfoId: info },
  body: { data: { id: info, type: 'user_authentication_password_profile_info', username: name, password: 'brand-New-Pass-2' } },
})
assert.equal(up.response.status, 200, JSON.stringify(up.error))
console.log('ok password changed')
const l = await sdk.postV2AccountMembersTokens({
  client,
  body: {
    data: {
      type: 'account_management_authentication_token',
      authentication_mechanism: 'password',
      password_profile_id: profile,
      username: name,
      password: 'brand-New-Pass-2',
    },
  },
})
assert.equal(l.response.status, 201, JSON.stringify(l.error))
process.exit(0)
