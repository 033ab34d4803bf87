// An application that signs people in with next-auth 4. It shows the user of its session.
const express = require('express')
const { default: nextAuth, getServerSession } = require('next-auth/next')

const input = JSON.parse(process.env.INPUT)
const base = `http://${process.env.LISTEN}`
process.env.NEXTAUTH_URL = base
const options = {
  secret: 'a secret for the cookies of the application',
  providers: [
    {
      id: 'latchkey',
      name: 'Latchkey',
      type: 'oauth',
      wellKnown: `${input.issuer}/.well-known/openid-configuration`,
      clientId: input.relyingParty.id,
      clientSecret: input.relyingParty.secret,
      authorization: { params: { scope: 'openid email' } },
      checks: ['pkce', 'state', 'nonce'],
      idToken: true,
      userinfo: { request: ({ client, tokens }) => client.userinfo(tokens.access_token) }, // the ID token has no address
      profile: (claims) => ({ id: claims.sub, email: claims.email }),
    },
  ],
}
const app = express()
app.use(express.urlencoded({ extended: false }), (request, _, next) => {
  const pairs = (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('='))
  request.cookies = Object.fromEntries(pairs.map(([name, value]) => [name, decodeURIComponent(value ?? '')]))
  next()
})

app.get('/', (_, response) => response.send('ready'))

// The route that an application of Next.js has as pages/api/auth/[...nextauth].
app.use('/api/auth', (request, response) => {
  const query = { ...request.query, nextauth: request.path.slice(1).split('/') }
  Object.defineProperty(request, 'query', { value: query })
  return nextAuth(request, response, options)
})

// Without a session, the browser is sent to the provider, as by signIn() of next-auth/react.
app.get('/login', async (request, response) => {
  const session = await getServerSession(request, response, options)
  if (session) return response.json(session.user)
  const csrf = await fetch(`${base}/api/auth/csrf`)
  const cookies = csrf.headers.getSetCookie()
  const started = await fetch(`${base}/api/auth/signin/latchkey`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: cookies.map((cookie) => cookie.split(';')[0]).join('; ') },
    body: new URLSearchParams({ csrfToken: (await csrf.json()).csrfToken, callbackUrl: `${base}/login` }),
  })
  response.setHeader('Set-Cookie', [...cookies, ...started.headers.getSetCookie()])
  response.redirect(started.headers.get('location'))
})

const [host, port] = process.env.LISTEN.split(':')
app.listen(port, host)
