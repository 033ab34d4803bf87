// Elastic Path's JavaScript SDK: settings, both scenarios of passwordless
// sign-in, password reset, self-signup.
const {
  issuer: base,
  store: { id, secret },
} = JSON.parse(process.env.INPUT)
const { gateway, MemoryStorageFactory } = require('@elasticpath/js-sdk')
const http = require('http'),
  assert = require('assert')
const host = base.replace('http://', '')
let posts = 0
const counting = (u, o) => {
  if (o && o.method === 'POST' && /account-members\/tokens/.test(u)) posts++
  return fetch(u, o)
}
const make = (s) =>
  gateway({
    client_id: id,
    client_secret: s,
    host,
    protocol: 'http',
    storage: new MemoryStorageFactory(),
    disableCart: true,
    custom_fetch: counting,
  })
const admin = make(secret),
  shop = make(undefined)
const inbox = [],
  waiters = []
const hook = http.createServer((req, res) => {
  let b = ''
  req.on('data', (c) => (b += c))
  req.on('end', () => {
    const m = { headers: req.headers, body: JSON.parse(b) }
    const w = waiters.shift()
    w ? w(m) : inbox.push(m)
    res.writeHead(200)
    res.end()
  })
})
const next = () =>
  inbox.length
    ? Promise.resolve(inbox.shift())
    : new Promise((ok, no) => {
        const t = setTimeout(() => no(new Error('no message')), 10000)
        waiters.push((m) => {
          clearTimeout(t)
          ok(m)
        })
      })
const quiet = async (ms) => {
  await new Promise((r) => setTimeout(r, ms))
  assert.equal(inbox.length, 0)
}
const fails = async (p, status, detail, what) => {
  let x
  try {
    x = await p
  } catch (e) {
    const err = e.errors && e.errors[0]
    assert.ok(err, what + ' ' + JSON.stringify(e) + (e.stack || ''))
    assert.equal(String(err.status), String(status), what + JSON.stringify(e))
    if (detail) assert.equal(err.detail, detail, what)
    return e
  }
  throw new Error(what + ' did not fail ' + JSON.stringify(x))
}
const step = (s) => console.log('ok', s)
const sfx = Date.now().toString(36),
  jane = 'Jane.' + sfx + '@example.com'
;(async () => {
  await new Promise((r) => hook.listen(0, '127.0.0.1', r))
  const url = 'http://127.0.0.1:' + hook.address().port + '/notify'
  let set = await admin.AccountAuthenticationSettings.Get()
  const realm = set.data.relationships.authentication_realm.data.id
  step('settings, realm ' + realm)
  set = await admin.AccountAuthenticationSettings.Update({
    type: 'account_authentication_settings',
    account_member_self_management: 'update_only',
    enable_self_signup: true,
    auto_create_account_for_account_members: false,
    account_management_authentication_token_timeout_secs: 3600,
  })
  assert.equal(set.data.account_member_self_management, 'update_only')
  step('settings updated')
  const realms = await admin.AuthenticationRealm.All()
  assert.ok(realms.data.some((r) => r.id === realm))
  await admin.AuthenticationRealm.Get({ realmId: realm })
  const p = await admin.PasswordProfile.Create(realm, {
    data: { type: 'password_profile', name: 'storefront', username_format: 'email', enable_one_time_password_token: true },
  })
  const profile = p.data.id
  assert.ok(/^[0-9a-f-]{36}$/.test(profile))
  step('password profile')
  const all = await shop.PasswordProfile.All(realm)
  assert.ok(all.data.some((x) => x.id === profile))
  step('implicit client sees the profiles')
  const u = await admin.UserAuthenticationInfo.Create(realm, {
    data: { type: 'user_authentication_info', name: 'Jane Doe', email: jane },
  })
  const member = u.data.id
  step('user ' + member)
  const pp = await admin.UserAuthenticationPasswordProfile.Create(realm, member, {
    data: {
      type: 'user_authentication_password_profile_info',
      password_profile_id: profile,
      username: jane,
      password: 'permanent-Pass-1',
    },
  })
  step('password profile info')
  await fails(
    admin.UserAuthenticationPasswordProfile.Create(realm, member, {
      data: {
        type: 'user_authentication_password_profile_info',
        password_profile_id: profile,
        username: jane.toLowerCase(),
        password: 'permanent-Pass-1',
      },
    }),
    422,
    null,
    'duplicate username',
  )
  const it = await admin.Integrations.Create({
    name: 'otp mail',
    description: 'sends',
    enabled: true,
    integration_type: 'webhook',
    observes: ['one-time-password-token-request.created'],
    configuration: { url, secret_key: 'moltin-secret' },
  })
  step('integration ' + it.data.id)
  const a1 = await admin.Accounts.Create({ type: 'account', name: 'Banks', legal_name: 'Banks Ltd' }),
    a2 = await admin.Accounts.Create({ type: 'account', name: 'Other', legal_name: 'Other Ltd' })
  await admin.AccountMemberships.Create(a1.data.id, { type: 'account_membership', account_member_id: member })
  await admin.AccountMemberships.Create(a2.data.id, { type: 'account_membership', account_member_id: member })
  await fails(
    admin.AccountMemberships.Create(a1.data.id, { type: 'account_membership', account_member_id: member }),
    409,
    'account membership with the given account id and account member id already exists',
    'dup membership',
  )
  step('accounts and memberships')
  const ask = (username, purpose, p = profile) =>
    shop.OneTimePasswordTokenRequest.Create(realm, p, { type: 'one_time_password_token_request', username, purpose })
  const exchange = (mech, more) =>
    shop.AccountMembers.GenerateAccountToken({
      type: 'account_management_authentication_token',
      authentication_mechanism: mech,
      password_profile_id: profile,
      ...more,
    })
  await ask(jane.toLowerCase(), 'passwordless_authentication')
  let m = await next()
  assert.equal(m.headers['x-moltin-secret-key'], 'moltin-secret')
  assert.equal(m.headers['x-moltin-integration-trigger'], 'one-time-password-token-request.created')
  assert.equal(m.body.payload.user_authentication_info.id, member)
  assert.equal(m.body.payload.user_authentication_password_profile_info.id, pp.data.id)
  assert.equal(m.body.payload.purpose, 'passwordless_authentication')
  assert.equal(m.body.integration.id, it.data.id)
  assert.deepEqual(Object.keys(m.body).sort(), ['configuration', 'id', 'integration', 'payload', 'store_id', 'triggered_by'])
  step('webhook ' + JSON.stringify(m.body))
  await ask('nobody@example.com', 'passwordless_authentication')
  await quiet(500)
  step('unknown user: accepted, silent')
  posts = 0
  await fails(
    exchange('passwordless', { username: jane, one_time_password_token: 'zzzzzz' }),
    400,
    'authentication failed',
    'wrong code',
  )
  assert.equal(posts, 1, 'the SDK sent it ' + posts + ' times')
  step('wrong code: one POST')
  let toks = await exchange('passwordless', { username: jane, one_time_password_token: m.body.payload.one_time_password_token })
  assert.equal(toks.data.length, 2)
  assert.equal(toks.meta.account_member_id, member)
  step('passwordless tokens: ' + toks.data.map((t) => t.account_name))
  await fails(
    exchange('passwordless', { username: jane, one_time_password_token: m.body.payload.one_time_password_token }),
    400,
    'authentication failed',
    'replay',
  )
  const tok = toks.data[0]
  assert.ok(new Date(tok.expires) > new Date())
  // own data
  const send = (path, method, body, account) =>
    shop.request.send(path, method, body, undefined, undefined, true, 'v2', {
      'EP-Account-Management-Authentication-Token': account,
    })
  const own = await send('accounts/' + tok.account_id, 'GET', undefined, tok.token)
  assert.equal(own.data.id, tok.account_id)
  await fails(send('accounts/' + toks.data[1].account_id, 'GET', undefined, tok.token), 404, null, 'other account')
  // switch
  const sw = await send(
    'account-members/tokens',
    'POST',
    { type: 'account_management_authentication_token', authentication_mechanism: 'account_management_authentication_token' },
    tok.token,
  )
  assert.equal(sw.data.length, 2)
  step('switched with the held token')
  // password reset
  await ask(jane, 'reset_password')
  m = await next()
  assert.equal(m.body.payload.purpose, 'reset_password')
  toks = await exchange('passwordless', { username: jane, one_time_password_token: m.body.payload.one_time_password_token })
  await shop.UserAuthenticationPasswordProfile.Update(
    realm,
    member,
    pp.data.id,
    { data: { id: pp.data.id, type: 'user_authentication_password_profile_info', username: jane, password: 'brand-New-Pass-2' } },
    null,
    toks.data[0].token,
  )
  step('password changed by the token')
  await send('accounts/' + toks.data[0].account_id, 'GET', undefined, toks.data[0].token)
  step('still signed in by the token that changed it')
  await fails(
    exchange('password', { username: jane, password: 'permanent-Pass-1' }),
    400,
    'authentication failed',
    'old password',
  )
  toks = await exchange('password', { username: jane, password: 'brand-New-Pass-2' })
  step('signed in with the new password')
  await admin.AccountAuthenticationSettings.Update({
    type: 'account_authentication_settings',
    account_member_self_management: 'disabled',
  })
  await fails(
    shop.UserAuthenticationPasswordProfile.Update(
      realm,
      member,
      pp.data.id,
      { data: { type: 'user_authentication_password_profile_info', password: 'brand-New-Pass-3' } },
      null,
      toks.data[0].token,
    ),
    403,
    null,
    'self management disabled',
  )
  // other profile's code
  const p2 = (
    await admin.PasswordProfile.Create(realm, {
      data: { type: 'password_profile', name: 'second', enable_one_time_password_token: true },
    })
  ).data.id
  await admin.UserAuthenticationPasswordProfile.Create(realm, member, {
    data: {
      type: 'user_authentication_password_profile_info',
      password_profile_id: p2,
      username: jane,
      password: 'permanent-Pass-1',
    },
  })
  await ask(jane, 'passwordless_authentication', p2)
  m = await next()
  await fails(
    exchange('passwordless', { username: jane, one_time_password_token: m.body.payload.one_time_password_token }),
    400,
    'authentication failed',
    'code of another profile',
  )
  step('code of another profile refused')
  // self signup
  const su = await exchange('self_signup', {
    username: 'new.' + jane,
    password: 'selfmade-Pass-1',
    name: 'New',
    email: 'new.' + jane,
  })
  assert.equal(su.data.length, 0)
  assert.ok(su.meta.account_member_id)
  step('self signup')
  await admin.AccountAuthenticationSettings.Update({
    type: 'account_authentication_settings',
    auto_create_account_for_account_members: true,
  })
  const su2 = await exchange('self_signup', {
    username: 'newer.' + jane,
    password: 'selfmade-Pass-1',
    name: 'Newer',
    email: 'newer.' + jane,
  })
  assert.equal(su2.data.length, 1)
  assert.equal(su2.data[0].account_name, 'Newer')
  step('self signup with an account')
  const page = await admin.UserAuthenticationInfo.Limit(1)
    .Offset(1)
    .All(realm)
    .catch((e) => e)
  step('page ' + JSON.stringify(page.meta))
  const logs = await admin.Integrations.GetLogs(it.data.id).catch((e) => e)
  step('logs ' + JSON.stringify(logs).slice(0, 400))
  await admin.UserAuthenticationInfo.Delete(realm, member)
  await fails(admin.UserAuthenticationInfo.Get(realm, member), 404, null, 'deleted')
  step('deleted')
  process.exit(0)
})().catch((e) => {
  console.error('FAIL', (e && e.stack) || JSON.stringify(e))
  process.exit(1)
})
