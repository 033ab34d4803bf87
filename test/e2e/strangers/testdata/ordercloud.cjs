// OrderCloud's own SDK, from an administrator's set-up to a shopper's last
// refresh. SDK names the package, as there are several versions.
const {
  issuer: base,
  admin: { id: adminID, secret: adminSecret },
} = JSON.parse(process.env.INPUT)
const sdk = require(process.env.SDK)
const {
  Configuration,
  Auth,
  Tokens,
  Me,
  Users,
  Buyers,
  AdminUsers,
  Suppliers,
  SupplierUsers,
  ApiClients,
  SecurityProfiles,
  MessageSenders,
  ForgottenCredentials,
} = sdk
const http = require('http'),
  crypto = require('crypto'),
  assert = require('assert')
Configuration.Set({ baseApiUrl: base, apiVersion: 'v1' })
const key = 'the-shared-key-of-the-sender'
const inbox = [],
  waiters = []
const hook = http.createServer((req, res) => {
  const chunks = []
  req.on('data', (c) => chunks.push(c))
  req.on('end', () => {
    const body = Buffer.concat(chunks)
    const want = crypto.createHmac('sha256', key).update(body).digest('base64')
    const m = JSON.parse(body)
    m.path = req.url
    m.hashOK = req.headers['x-oc-hash'] === want
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
  assert.equal(inbox.length, 0, 'unexpected message ' + JSON.stringify(inbox[0]))
}
const fails = async (p, status, code, what) => {
  try {
    await p
  } catch (e) {
    assert.equal(e.status, status, what + ': status ' + e.status + ' ' + JSON.stringify(e.response && e.response.data) + e.stack)
    if (code) assert.equal(e.errorCode, code, what + ': code ' + e.errorCode)
    return e
  }
  throw new Error(what + ': did not fail')
}
const step = (s) => console.log('ok', s)
const suffix = Date.now().toString(36)
const B = 'acme-' + suffix,
  shopID0 = undefined
;(async () => {
  await new Promise((r) => hook.listen(0, '127.0.0.1', r))
  const hookURL = 'http://127.0.0.1:' + hook.address().port
  let t = await Auth.ClientCredentials(adminSecret, adminID, ['FullAccess'])
  Tokens.SetAccessToken(t.access_token)
  step('admin client credentials ' + t.expires_in)
  const buyer = await Buyers.Create({ ID: B, Name: 'Acme', Active: true, xp: { tier: { level: 'gold', since: 2001 } } })
  assert.equal(buyer.ID, B)
  step('buyer created')
  await fails(Buyers.Create({ ID: B, Name: 'Again', Active: true }), 409, null, 'duplicate buyer')
  const e404 = await fails(Buyers.Get('nope-' + suffix), 404, 'NotFound', 'missing buyer')
  await Buyers.Patch(B, { xp: { tier: { level: 'silver' } } })
  const b2 = await Buyers.Get(B)
  assert.deepEqual(b2.xp, { tier: { level: 'silver', since: 2001 } })
  step('buyer patched')
  await SecurityProfiles.Create({
    ID: 'shopper-' + suffix,
    Name: 'Shopper',
    Roles: ['Shopper', 'MeAdmin'],
    CustomRoles: ['Vip'],
    PasswordConfig: { MinimumCharacterCount: 12, NumericRequired: true },
  })
  await SecurityProfiles.SaveAssignment({ SecurityProfileID: 'shopper-' + suffix, BuyerID: B })
  const asg = await SecurityProfiles.ListAssignments({ securityProfileID: 'shopper-' + suffix })
  assert.equal(asg.Items.length, 1)
  assert.equal(asg.Items[0].BuyerID, B)
  step('security profile')
  const jane = 'jane-' + suffix
  await fails(
    Users.Create(B, {
      ID: 'weak',
      Username: 'weak' + suffix,
      Password: 'short',
      FirstName: 'W',
      LastName: 'K',
      Email: 'w@example.com',
      Active: true,
    }),
    400,
    null,
    'weak password',
  )
  const u = await Users.Create(B, {
    ID: 'jane',
    Username: jane,
    Password: 'correct-Horse-7-battery',
    FirstName: 'Jane',
    LastName: 'Doe',
    Email: jane + '@example.com',
    Active: true,
  })
  assert.equal(u.FailedLoginAttempts, 0)
  step('user created')
  await fails(
    Users.Create(B, {
      ID: 'jane2',
      Username: jane.toUpperCase(),
      FirstName: 'J',
      LastName: 'D',
      Email: 'x@example.com',
      Active: true,
    }),
    409,
    'User.UsernameMustBeUnique',
    'duplicate username',
  )
  const list = await Users.List(B, { search: 'jane', sortBy: ['LastName', '!ID'], filters: { Active: true } })
  assert.equal(list.Meta.TotalCount, 1)
  assert.equal(list.Items[0].Username, jane)
  step('user list')
  const client = await ApiClients.Create({
    AppName: 'Shop',
    Active: true,
    AccessTokenDuration: 10,
    RefreshTokenDuration: 1440,
    AllowAnyBuyer: false,
    AllowSeller: false,
  })
  assert.ok(/^[0-9A-Fa-f-]{36}$/.test(client.ID), client.ID)
  const shop = client.ID
  await fails(Auth.Login(jane, 'correct-Horse-7-battery', shop), 400, 'Auth.InvalidUsernameOrPassword', 'not admitted')
  await ApiClients.SaveAssignment({ ApiClientID: shop, BuyerID: B })
  const ca = await ApiClients.ListAssignments({ apiClientID: shop })
  assert.equal(ca.Items[0].BuyerID, B)
  const c2 = await ApiClients.Get(shop)
  assert.equal(c2.AssignedBuyerCount, 1)
  step('api client')
  await MessageSenders.Create({
    ID: 'sink-' + suffix,
    Name: 'Sink',
    MessageTypes: ['OneTimePassword', 'ForgottenPassword', 'ForgottenUsername', 'NewUserInvitation'],
    URL: hookURL + '/{messagetype}',
    SharedKey: key,
    ElevatedRoles: ['OrderReader'],
    xp: { template: 7 },
  })
  await ForgottenCredentials.SendOneTimePassword({ ClientID: shop, Username: jane })
  await quiet(700)
  step('unassigned sender stays silent')
  await MessageSenders.SaveAssignment({ MessageSenderID: 'sink-' + suffix, BuyerID: B })
  const login = await Auth.Login(jane, 'correct-Horse-7-battery', shop.toUpperCase(), ['Shopper', 'MeAdmin'])
  assert.equal(login.token_type, 'bearer')
  assert.ok(login.refresh_token)
  step('password sign-in')
  await ForgottenCredentials.SendOneTimePassword({ ClientID: shop, Username: jane })
  const m = await next()
  assert.ok(m.hashOK)
  assert.equal(m.path, '/onetimepassword')
  assert.equal(m.MessageType, 'OneTimePassword')
  assert.equal(m.BuyerID, B)
  assert.deepEqual(m.ConfigData, { template: 7 })
  assert.equal(m.Recipient.Email, jane + '@example.com')
  const claims = JSON.parse(Buffer.from(m.UserToken.split('.')[1], 'base64url'))
  assert.ok(claims.role.includes('OrderReader'))
  step('code delivered, hash right')
  const byCode = await Auth.Login(jane, m.EventBody.OneTimePassword, shop, ['Shopper', 'MeAdmin'])
  step('OTP sign-in')
  await fails(Auth.Login(jane, m.EventBody.OneTimePassword, shop), 400, 'Auth.InvalidUsernameOrPassword', 'replay')
  const me = await Me.Get({ accessToken: byCode.access_token })
  assert.equal(me.Username, jane)
  assert.equal(me.Buyer.ID, B)
  step('me')
  const patchedMe = await Me.Patch({ LastName: 'Roe' }, { accessToken: byCode.access_token })
  assert.equal(patchedMe.LastName, 'Roe')
  await fails(
    Me.Patch({ Phone: '+49 1' }, { accessToken: byCode.access_token }),
    403,
    'Auth.PasswordSignInRequired',
    'phone by code',
  )
  const byPassword = await Auth.Login(jane, 'correct-Horse-7-battery', shop)
  const reachable = await Me.Patch({ Phone: '+49 1' }, { accessToken: byPassword.access_token })
  assert.equal(reachable.Phone, '+49 1')
  await fails(Buyers.Get(B, { accessToken: byCode.access_token }), 403, 'Auth.InsufficientRoles', 'buyer user on admin route')
  // automatic refresh
  Tokens.RemoveAccessToken()
  Tokens.SetRefreshToken(byCode.refresh_token)
  Configuration.Set({ ...Configuration.Get(), clientID: shop })
  const me2 = await Me.Get()
  assert.equal(me2.Username, jane)
  step('automatic refresh 1')
  Tokens.RemoveAccessToken()
  const me3 = await Me.Get()
  assert.equal(me3.Username, jane)
  step('automatic refresh 2 with the same refresh token')
  Tokens.RemoveRefreshToken()
  Tokens.SetAccessToken(t.access_token)
  // reset
  await ForgottenCredentials.SendVerificationCode({ ClientID: shop, Username: jane, URL: 'https://shop.example/renew' })
  const r = await next()
  assert.equal(r.MessageType, 'ForgottenPassword')
  assert.equal(r.path, '/forgottenpassword')
  assert.equal(r.EventBody.PasswordRenewalUrl, 'https://shop.example/renew')
  const code = r.EventBody.PasswordRenewalVerificationCode
  assert.ok(/^[A-Za-z0-9_-]{20,}$/.test(code))
  step('reset code delivered')
  await fails(Auth.Login(jane, code, shop), 400, 'Auth.InvalidUsernameOrPassword', 'reset code as password')
  await fails(
    ForgottenCredentials.ResetPasswordByVerificationCode('wrong-code', {
      ClientID: shop,
      Username: jane,
      Password: 'new-Horse-8-battery!',
    }),
    400,
    'PasswordReset.InvalidVerification',
    'wrong code',
  )
  const weak = await fails(
    ForgottenCredentials.ResetPasswordByVerificationCode(code, { ClientID: shop, Username: jane, Password: 'Short-1234' }),
    400,
    'PasswordReset.InsecurePassword',
    'weak',
  )
  assert.equal(weak.response.data.Errors[0].Data.MinimumCharacterCount, 12)
  await ForgottenCredentials.ResetPasswordByVerificationCode(code, {
    ClientID: shop,
    Username: jane,
    Password: 'new-Horse-8-battery!',
  })
  step('password reset')
  await fails(
    ForgottenCredentials.ResetPasswordByVerificationCode(code, {
      ClientID: shop,
      Username: jane,
      Password: 'other-Horse-9-battery!',
    }),
    400,
    'PasswordReset.InvalidVerification',
    'code twice',
  )
  await fails(Auth.RefreshToken(byCode.refresh_token, shop), 400, null, 'old family dead')
  await fails(Auth.Login(jane, 'correct-Horse-7-battery', shop), 400, 'Auth.InvalidUsernameOrPassword', 'old password')
  let s = await Auth.Login(jane, 'new-Horse-8-battery!', shop)
  step('sign-in with the new password')
  await Me.ResetPasswordByToken(
    { NewPassword: 'third-Horse-9-battery!' },
    { accessToken: r.EventBody.PasswordRenewalAccessToken },
  ).then(
    () => {
      throw new Error('renewal token outlived the reset')
    },
    (e) => assert.ok([401].includes(e.status), e.status),
  )
  await ForgottenCredentials.SendVerificationCode({ ClientID: shop, Email: jane + '@example.com' })
  const r2 = await next()
  await Me.ResetPasswordByToken(
    { NewPassword: 'third-Horse-9-battery!' },
    { accessToken: r2.EventBody.PasswordRenewalAccessToken },
  )
  s = await Auth.Login(jane, 'third-Horse-9-battery!', shop)
  step('password reset by token')
  await ForgottenCredentials.RetrieveUsername({ clientID: shop, email: jane + '@example.com' })
  const fu = await next()
  assert.equal(fu.MessageType, 'ForgottenUsername')
  assert.equal(fu.EventBody.Username, jane)
  await ForgottenCredentials.RetrieveUsername({ clientID: shop, email: 'nobody@example.com' })
  await quiet(500)
  step('username retrieved')
  // lockout
  for (let i = 0; i < 10; i++) await fails(Auth.Login(jane, 'wrong' + i, shop), 400, 'Auth.InvalidUsernameOrPassword', 'guess')
  await fails(Auth.Login(jane, 'third-Horse-9-battery!', shop), 400, null, 'locked')
  const lu = await Users.Get(B, 'jane')
  assert.equal(lu.FailedLoginAttempts, 10)
  await Users.UnlockUserAccount(B, 'jane')
  s = await Auth.Login(jane, 'third-Horse-9-battery!', shop)
  step('locked and unlocked')
  // revocation
  await Users.RevokeUserTokens(B, 'jane')
  await fails(Me.Get({ accessToken: s.access_token }), 401, 'Auth.TokenRevoked', 'revoked')
  await fails(Auth.RefreshToken(s.refresh_token, shop), 400, null, 'revoked refresh')
  s = await Auth.Login(jane, 'third-Horse-9-battery!', shop)
  await Me.Get({ accessToken: s.access_token })
  await Me.RevokeTokens({ accessToken: s.access_token })
  await fails(Me.Get({ accessToken: s.access_token }), 401, 'Auth.TokenRevoked', 'me revoked')
  step('tokens revoked')
  // secrets
  const sec = await ApiClients.CreateSecret(shop, { Name: 'first' })
  assert.ok(sec.ClientSecret.length >= 32)
  await fails(Auth.Login(jane, 'third-Horse-9-battery!', shop), 400, 'ApiClient.InvalidClientID', 'secret missing')
  s = await Auth.ElevatedLogin(sec.ClientSecret, jane, 'third-Horse-9-battery!', shop, ['Shopper'])
  step('elevated login')
  const secs = await ApiClients.ListSecrets(shop)
  assert.equal(secs.Items.length, 1)
  assert.ok(!secs.Items[0].ClientSecret)
  await ApiClients.PatchSecret(shop, sec.ID, { Name: 'renamed' })
  assert.equal((await ApiClients.GetSecret(shop, sec.ID)).Name, 'renamed')
  await ApiClients.Patch(shop, { DefaultContextUserName: jane })
  const cc = await Auth.ClientCredentials(sec.ClientSecret, shop, ['Shopper'])
  assert.equal((await Me.Get({ accessToken: cc.access_token })).Username, jane)
  step('client credentials as the context user')
  // anonymous
  const anon = await ApiClients.Create({
    AppName: 'Anon',
    Active: true,
    AccessTokenDuration: 60,
    AllowAnyBuyer: true,
    IsAnonBuyer: true,
    DefaultContextUserName: jane,
  })
  const at = await Auth.Anonymous(anon.ID, ['Shopper'])
  assert.ok(!at.refresh_token)
  assert.ok(at.expires_in > 600000, at.expires_in)
  step('anonymous ' + at.expires_in)
  await ApiClients.Patch(shop, { Active: false })
  await fails(Me.Get({ accessToken: cc.access_token }), 401, null, 'client deactivated')
  step('deactivated client')
  const sup = await Suppliers.Create({ ID: 'sup-' + suffix, Name: 'Sup', Active: true })
  const su = await SupplierUsers.Create(sup.ID, {
    ID: 'sue',
    Username: 'sue' + suffix,
    FirstName: 'S',
    LastName: 'U',
    Email: 'sue@example.com',
    Active: true,
  })
  const au = await AdminUsers.Create({
    Username: 'ada' + suffix,
    FirstName: 'A',
    LastName: 'D',
    Email: 'ada@example.com',
    Active: true,
  })
  assert.ok(au.ID)
  step('supplier and admin users')
  await Users.Delete(B, 'jane')
  await fails(Users.Get(B, 'jane'), 404, 'NotFound', 'deleted')
  await Buyers.Delete(B)
  await ApiClients.Delete(shop)
  await MessageSenders.Delete('sink-' + suffix)
  step('deleted')
  process.exit(0)
})().catch((e) => {
  console.error('FAIL', e.status, e.errorCode, e.stack, e.response && JSON.stringify(e.response.data))
  process.exit(1)
})
