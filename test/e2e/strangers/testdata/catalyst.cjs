// OrderCloud's Catalyst: the middleware by which a service of one's own takes the
// tokens of users and the calls of message senders.
const { issuer: base, admin } = JSON.parse(process.env.INPUT)
const { withOcUserAuth, withOcWebhookAuth, respondWithOcFormatError, verifyTokenAsync } = require('@ordercloud/catalyst')
const express = require('express')
const assert = require('node:assert/strict')

const step = (what) => console.log('ok', what)
const suffix = Date.now().toString(36)
const key = 'the-shared-key-of-the-sender'
const password = 'correct-Horse-7-battery'

const call = async (token, method, path, body) => {
  const answer = await fetch(base + path, {
    method,
    headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return text && JSON.parse(text)
}
const tokenOf = async (form) => {
  const answer = await fetch(base + '/oauth/token', { method: 'POST', body: new URLSearchParams(form) })
  const body = await answer.json()
  assert.ok(body.access_token, JSON.stringify(body))
  return body.access_token
}

;(async () => {
  const root = await tokenOf({ grant_type: 'client_credentials', client_id: admin.id, client_secret: admin.secret })
  const buyer = 'catalyst-' + suffix
  const username = 'user-' + suffix
  await call(root, 'POST', '/v1/buyers', { ID: buyer, Name: 'Buyer', Active: true })
  await call(root, 'POST', '/v1/securityprofiles', { ID: buyer, Name: 'Shoppers', Roles: ['Shopper', 'MeAdmin'] })
  await call(root, 'POST', '/v1/securityprofiles/assignments', { SecurityProfileID: buyer, BuyerID: buyer })
  await call(root, 'POST', `/v1/buyers/${buyer}/users`, {
    ID: 'user', Username: username, Password: password, FirstName: 'U', LastName: 'Ser', Email: username + '@example.com', Active: true,
  })
  // As OrderCloud's clients register one: without a signing algorithm.
  const client = await call(root, 'POST', '/v1/apiclients', {
    AppName: 'Shop', Active: true, AllowAnyBuyer: true, AccessTokenDuration: 60,
  })
  const token = await tokenOf({ grant_type: 'password', username, password, client_id: client.ID })

  const received = []
  const app = express()
  const answer = (req, res) => res.status(200).json({ usr: req.ocToken.payload.usr, usrtype: req.ocToken.payload.usrtype })
  app.get('/any', withOcUserAuth(answer, [], [], ['*']))
  app.get('/shopper', withOcUserAuth(answer, ['Shopper'], ['buyer'], [client.ID]))
  app.get('/order-admin', withOcUserAuth(answer, ['OrderAdmin'], [], [client.ID]))
  app.get('/other-client', withOcUserAuth(answer, [], [], ['another-client']))
  const hook = (req, res) => {
    received.push(req.body)
    res.status(200).json({})
  }
  app.post('/hook/:type', withOcWebhookAuth(hook, key))
  app.post('/wrong/:type', withOcWebhookAuth(hook, 'another-key'))
  app.use((error, req, res, next) => respondWithOcFormatError(error, res))
  const server = app.listen(0, '127.0.0.1')
  await new Promise((ready) => server.on('listening', ready))
  const service = 'http://127.0.0.1:' + server.address().port
  const ask = async (path, bearer) => {
    const got = await fetch(service + path, { headers: bearer ? { authorization: 'Bearer ' + bearer } : {} })
    return { status: got.status, body: await got.json() }
  }

  const verified = await verifyTokenAsync(token, ['Shopper'], null, [client.ID])
  assert.equal(verified.headers.alg, 'RS256')
  assert.deepEqual(await ask('/any', token), { status: 200, body: { usr: username, usrtype: 'buyer' } })
  assert.equal((await ask('/shopper', token)).status, 200)
  step('a user token is accepted')
  const signature = token.lastIndexOf('.') + 1
  for (const [what, path, bearer, status] of [
    ['a role that the user lacks', '/order-admin', token, 403],
    ['another client', '/other-client', token, 401],
    ['a forged token', '/any', token.slice(0, signature) + 'A'.repeat(342), 401],
    ['no token', '/any', undefined, 401],
    ['nonsense', '/any', 'nonsense', 401],
  ]) {
    assert.equal((await ask(path, bearer)).status, status, what)
  }
  step('other tokens are refused')

  const secret = 'catalyst-secret-catalyst-secret-catalyst'
  const machine = await call(root, 'POST', '/v1/apiclients', {
    AppName: 'Machine', Active: true, AllowAnyBuyer: true, ClientSecret: secret, DefaultContextUserName: username,
  })
  const ofMachine = await tokenOf({ grant_type: 'client_credentials', client_id: machine.ID, client_secret: secret })
  assert.deepEqual(await ask('/any', ofMachine), { status: 200, body: { usr: username, usrtype: 'buyer' } })
  step('a token of an API client with a user is accepted')

  const sender = (id, path) =>
    call(root, 'PUT', '/v1/messagesenders/' + id, {
      Name: 'Hook', MessageTypes: ['OneTimePassword'], URL: service + path + '/{messagetype}', SharedKey: key, AllowAllBuyers: false,
    })
  await sender('hook-' + suffix, '/hook')
  await call(root, 'POST', '/v1/messagesenders/assignments', { MessageSenderID: 'hook-' + suffix, BuyerID: buyer })
  const asked = await fetch(base + '/v1/password/onetimepassword', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ClientID: client.ID, Username: username }),
  })
  assert.equal(asked.status, 204)
  for (let i = 0; received.length === 0 && i < 100; i++) await new Promise((r) => setTimeout(r, 100))
  assert.equal(received.length, 1, 'no message came')
  const message = received[0]
  assert.equal(message.MessageType, 'OneTimePassword')
  assert.equal(message.EventBody.Username, username)
  step('a message passes the hash check')
  const byCode = await tokenOf({
    grant_type: 'password', username, password: message.EventBody.OneTimePassword, client_id: client.ID,
  })
  assert.equal((await ask('/shopper', byCode)).status, 200)
  step('the token of a sign-in with the code is accepted')

  // A service with another key refuses the same messages.
  await sender('hook-' + suffix, '/wrong')
  await fetch(base + '/v1/password/onetimepassword', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ClientID: client.ID, Username: username }),
  })
  let refused
  for (let i = 0; !refused && i < 100; i++) {
    await new Promise((r) => setTimeout(r, 100))
    const requests = await call(root, 'GET', '/v1/onetimepasswordrequests?Username=' + username + '&sortBy=!CreatedAt')
    const last = await call(root, 'GET', '/v1/onetimepasswordrequests/' + requests.Items[0].ID)
    refused = (last.Timeline ?? []).find((s) => s.Step === 'failed' || s.Step === 'dead')
  }
  assert.ok(refused, 'the message was not refused')
  assert.equal(received.length, 1)
  step('a service with another key refuses a message: ' + refused.Detail)
  server.close()
  server.closeAllConnections()
})().catch((e) => {
  console.error(e)
  process.exit(1)
})
