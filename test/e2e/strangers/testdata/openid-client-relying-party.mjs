// An application that signs people in with openid-client. It shows what userinfo says.
import * as client from 'openid-client'
import express from 'express'
import { assert, input } from './input.mjs'

const { id, secret } = input.relyingParty
const base = `http://${process.env.LISTEN}`
const options = { execute: [client.allowInsecureRequests] }
const config = await client.discovery(new URL(input.issuer), id, secret, client.ClientSecretBasic(secret), options)
const started = new Map()
let idToken // of the only user
const app = express()

app.get('/', (_, response) => response.send('ready'))

app.get('/login', async (_, response) => {
  const verifier = client.randomPKCECodeVerifier()
  const [state, nonce] = [client.randomState(), client.randomNonce()]
  started.set(state, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true })
  const to = client.buildAuthorizationUrl(config, {
    redirect_uri: `${base}/callback`,
    scope: 'openid email offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  })
  response.redirect(to.href)
})

app.get('/callback', async (request, response) => {
  const tokens = await client.authorizationCodeGrant(config, new URL(request.url, base), started.get(request.query.state))
  idToken = tokens.id_token
  const { sub } = tokens.claims()
  assert.ok(tokens.refresh_token)
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token)
  response.json(await client.fetchUserInfo(config, renewed.access_token, sub))
})

app.get('/logout', (_, response) => {
  response.redirect(client.buildEndSessionUrl(config, { id_token_hint: idToken, post_logout_redirect_uri: `${base}/` }).href)
})

const [host, port] = process.env.LISTEN.split(':')
app.listen(port, host)
