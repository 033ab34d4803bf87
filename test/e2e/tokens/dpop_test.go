package tokens

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestDPoP tests at two replicas that bound tokens need a proof of their key.
func TestDPoP(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(kit.DPoPDocument)
		p := &dpopTest{Fixture: w, first: w.Serve(kit.SharedIssuer), second: w.Serve(kit.SharedIssuer)}
		p.machine = w.CreateClient(t, "--name", "machine", "--role", "FullAccess", "--grant", "client_credentials")
		for name, test := range map[string]func(*testing.T){
			"token": p.token, "race": p.race, "resource": p.resource, "resource race": p.resourceRace, "code": p.code,
			"refresh": p.refresh, "exchange": p.exchange, "nonce": p.nonce, "bound client": p.boundClient,
		} {
			t.Run(name, test)
		}
		t.Run("later", p.later) // advances the clock
	})
}

type dpopTest struct {
	*kit.Fixture
	first, second *kit.Server
	machine       kit.Client
}

func (p *dpopTest) byMachine() []string {
	return []string{"grant_type", "client_credentials", "client_id", p.machine.ID, "client_secret", p.machine.Secret}
}

// token tests the answer, the token and the introspection of a bound token, and which proofs
// are refused.
func (p *dpopTest) token(t *testing.T) {
	h := p.NewDPoPKey(t)
	proof := h.TokenHeader()
	token := mustBeOf(t, "a good proof", p.first.Token(proof, p.byMachine()...), "DPoP")
	cnf := map[string]any{"jkt": h.Thumbprint}
	if _, claims := kit.DecodeJWT(t, token); cmp.Diff(cnf, claims["cnf"]) != "" {
		t.Errorf("got cnf %v", claims["cnf"])
	}
	seen := p.second.Form("/oauth/introspect", "client_id", p.machine.ID, "client_secret", p.machine.Secret, "token", token).JSON(t)
	if cmp.Diff(cnf, seen["cnf"]) != "" || seen["token_type"] != "DPoP" || seen["active"] != true {
		t.Errorf("introspection: got %v", seen)
	}
	now := p.Clock.Now()
	for what, header := range map[string][]string{
		"the proof again":   proof,
		"two proofs":        append(h.TokenHeader(), h.TokenHeader()...),
		"no proof in it":    {"DPoP", "x"},
		"another method":    h.Proof(http.MethodGet, "/oauth/token"),
		"another path":      h.Proof(http.MethodPost, "/oauth/revoke"),
		"the listener":      h.TokenHeader("htu", p.second.URL+"/oauth/token"),
		"too old":           h.TokenHeader("iat", now.Add(-6*time.Minute).Unix()),
		"too new":           h.TokenHeader("iat", now.Add(time.Minute).Unix()),
		"a jti of 257":      h.TokenHeader("jti", strings.Repeat("x", 257)),
		"a proof of 20 KiB": h.TokenHeader("more", strings.Repeat("x", 20<<10)),
	} {
		mustFail(t, what, p.second.Token(header, p.byMachine()...), "invalid_dpop_proof")
	}
	mustBeOf(t, "no proof", p.first.Token(nil, p.byMachine()...), "bearer")
}

// inParallel counts the statuses of requests that both replicas get at the same time.
func (p *dpopTest) inParallel(requests int, send func(n *kit.Server) kit.Response) map[int]int {
	var mu sync.Mutex
	var wait sync.WaitGroup
	statuses, gate := map[int]int{}, make(chan struct{})
	for i := range requests {
		n := p.first
		if i%2 == 1 {
			n = p.second
		}
		wait.Go(func() {
			<-gate
			a := send(n)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	close(gate)
	wait.Wait()
	return statuses
}

// race tests that one of 50 uses of a proof succeeds.
func (p *dpopTest) race(t *testing.T) {
	proof := p.NewDPoPKey(t).TokenHeader()
	got := p.inParallel(50, func(n *kit.Server) kit.Response { return n.Token(proof, p.byMachine()...) })
	if diff := cmp.Diff(map[int]int{200: 1, 400: 49}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// resourceRace is race at a resource.
func (p *dpopTest) resourceRace(t *testing.T) {
	h := p.NewDPoPKey(t)
	token := mustBeOf(t, "sign-in", p.first.Token(h.TokenHeader(), kit.PublicClientSignIn("jane", kit.Password)...), "DPoP")
	use := forUse(h, token, http.MethodGet, "/v1/me")
	got := p.inParallel(50, func(n *kit.Server) kit.Response { return get(n, "/v1/me", use...) })
	if diff := cmp.Diff(map[int]int{200: 1, 401: 49}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// resource tests in both dialects that a bound token is refused without a proof of its key.
func (p *dpopTest) resource(t *testing.T) {
	h, thief := p.NewDPoPKey(t), p.NewDPoPKey(t)
	me := mustBeOf(t, "sign-in", p.first.Token(h.TokenHeader(), kit.PublicClientSignIn("jane", kit.Password)...), "DPoP")
	admin := mustBeOf(t, "machine", p.first.Token(h.TokenHeader(), p.byMachine()...), "DPoP")
	free := mustBeOf(t, "machine, unbound", p.first.Token(nil, p.byMachine()...), "bearer")
	const dpop = `DPoP realm="latchkey", algs="ES256 EdDSA RS256 PS256"`
	for path, token := range map[string]string{"/v1/me": me, "/v1/apiclients": admin, kit.SettingsPath: admin} {
		for what, c := range map[string]struct {
			header    []string
			challenge string // "": it is let in
		}{
			"with its key":    {forUse(h, token, http.MethodGet, path), ""},
			"as bearer":       {[]string{"Authorization", "Bearer " + token}, `Bearer realm="latchkey", error="invalid_token"`},
			"bearer, proof":   {append(forUse(h, token, http.MethodGet, path)[:2], "Authorization", "Bearer "+token), `Bearer realm="latchkey", error="invalid_token"`},
			"no proof":        {[]string{"Authorization", "DPoP " + token}, dpop + `, error="invalid_dpop_proof"`},
			"another key":     {forUse(thief, token, http.MethodGet, path), dpop + `, error="invalid_token"`},
			"another path":    {forUse(h, token, http.MethodGet, "/v1/other"), dpop + `, error="invalid_dpop_proof"`},
			"another method":  {forUse(h, token, http.MethodPost, path), dpop + `, error="invalid_dpop_proof"`},
			"ath of another":  {append(forUse(h, free, http.MethodGet, path)[:2], "Authorization", "DPoP "+token), dpop + `, error="invalid_dpop_proof"`},
			"an unbound one":  {forUse(h, free, http.MethodGet, path), dpop + `, error="invalid_token"`},
			"in the query":    {nil, `Bearer realm="latchkey"`},
			"a strange nonce": {forUse(h, token, http.MethodGet, path, "nonce", "x"), dpop + `, error="use_dpop_nonce"`},
		} {
			query := ""
			if c.header == nil {
				query = "?access_token=" + free
			}
			a := get(p.second, path+query, c.header...)
			got := a.Header.Get("WWW-Authenticate")
			if c.challenge == "" && a.Status != 200 || c.challenge != "" && (a.Status != 401 || !strings.HasPrefix(got, c.challenge)) {
				t.Errorf("%s, %s: got %d, %s", path, what, a.Status, got)
			}
			if nonce := a.Header.Get("DPoP-Nonce"); (nonce != "") != (what == "a strange nonce") {
				t.Errorf("%s, %s: got the nonce %q", path, what, nonce)
			}
		}
	}
}

// code tests that a replayed proof does not use a one-time password.
func (p *dpopTest) code(t *testing.T) {
	h := p.NewDPoPKey(t)
	spent := h.TokenHeader()
	mustBeOf(t, "the first use", p.first.Token(spent, p.byMachine()...), "DPoP")
	code := p.DeliveredCode(p.first, "jane")
	through := func(header []string) kit.Response {
		return p.second.Token(header, "grant_type", "password", "client_id", "shop", "client_secret", kit.ClientSecret, "username", "jane", "password", code)
	}
	mustFail(t, "the proof again, with a code", through(spent), "invalid_dpop_proof")
	mustBeOf(t, "the code, with another proof", through(h.TokenHeader()), "DPoP")
	mustFail(t, "the code again", through(h.TokenHeader()), "invalid_grant")
}

// refresh tests that refresh tokens of public clients are bound to the key, and those of
// confidential clients are not.
func (p *dpopTest) refresh(t *testing.T) {
	h, thief := p.NewDPoPKey(t), p.NewDPoPKey(t)
	first := p.first.Token(h.TokenHeader(), kit.PublicClientSignIn("john", kit.Password)...)
	mustBeOf(t, "sign-in", first, "DPoP")
	token := first.Field("refresh_token")
	mustFail(t, "no key", p.second.Token(nil, refreshSPA(token)...), "invalid_dpop_proof")
	mustFail(t, "another key", p.second.Token(thief.TokenHeader(), refreshSPA(token)...), "invalid_grant")
	second := p.second.Token(h.TokenHeader(), refreshSPA(token)...)
	if _, claims := kit.DecodeJWT(t, mustBeOf(t, "its key", second, "DPoP")); cmp.Diff(map[string]any{"jkt": h.Thumbprint}, claims["cnf"]) != "" {
		t.Errorf("got cnf %v", claims["cnf"])
	}
	desk := []string{"client_id", "shop", "client_secret", kit.ClientSecret}
	theirs := p.first.Token(h.TokenHeader(), append(desk, "grant_type", "password", "username", "john", "password", kit.Password)...)
	mustBeOf(t, "confidential", theirs, "DPoP")
	mustBeOf(t, "confidential, another key", p.second.Token(thief.TokenHeader(), append(desk, "grant_type", "refresh_token", "refresh_token", theirs.Field("refresh_token"))...), "DPoP")
}

// exchange tests that an exchange of a bound token needs its key, and that the new token is
// bound to it.
func (p *dpopTest) exchange(t *testing.T) {
	h := p.NewDPoPKey(t)
	token := mustBeOf(t, "sign-in", p.first.Token(h.TokenHeader(), kit.PublicClientSignIn("jane", kit.Password)...), "DPoP")
	form := []string{
		"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "spa", "subject_token", token,
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token",
	}
	mustFail(t, "no key", p.second.Token(nil, form...), "invalid_dpop_proof")
	mustFail(t, "another key", p.second.Token(p.NewDPoPKey(t).TokenHeader(), form...), "invalid_request")
	made := mustBeOf(t, "its key", p.second.Token(h.TokenHeader(), form...), "DPoP")
	if _, claims := kit.DecodeJWT(t, made); cmp.Diff(map[string]any{"jkt": h.Thumbprint}, claims["cnf"]) != "" {
		t.Errorf("got cnf %v", claims["cnf"])
	}
}

// nonce tests that one replica accepts the nonce of the other.
func (p *dpopTest) nonce(t *testing.T) {
	h, strict := p.NewDPoPKey(t), p.Serve(kit.SharedIssuer, "LATCHKEY_DPOP_NONCE=true")
	challenged := strict.Token(h.TokenHeader(), p.byMachine()...)
	mustFail(t, "no nonce", challenged, "use_dpop_nonce")
	nonce := challenged.Header.Get("DPoP-Nonce")
	got := strict.Token(h.TokenHeader("nonce", nonce), p.byMachine()...)
	token := mustBeOf(t, "its nonce", got, "DPoP")
	if got.Header.Get("DPoP-Nonce") == "" {
		t.Error("got no nonce for the next request, want one")
	}
	mustBeOf(t, "its nonce at another replica", p.first.Token(h.TokenHeader("nonce", nonce), p.byMachine()...), "DPoP")
	mustFail(t, "a nonce of nobody", p.first.Token(h.TokenHeader("nonce", nonce+"x"), p.byMachine()...), "use_dpop_nonce")
	refused := get(strict, "/v1/apiclients", forUse(h, token, http.MethodGet, "/v1/apiclients")...)
	if refused.Status != 401 || !strings.Contains(refused.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) {
		t.Errorf("resource without nonce: got %d %v, want 401", refused.Status, refused.Header)
	}
	next := forUse(h, token, http.MethodGet, "/v1/apiclients", "nonce", refused.Header.Get("DPoP-Nonce"))
	if a := get(strict, "/v1/apiclients", next...); a.Status != 200 {
		t.Errorf("resource with nonce: got %d %s, want 200", a.Status, a.Body)
	}
	mustBeOf(t, "no proof", strict.Token(nil, p.byMachine()...), "bearer")
}

// boundClient tests a client whose tokens must be bound (RFC 9449 §5.2), and that /v1 shows
// this setting.
func (p *dpopTest) boundClient(t *testing.T) {
	h := p.NewDPoPKey(t)
	form := []string{"grant_type", "password", "client_id", "bound", "username", "jane", "password", kit.Password}
	mustFail(t, "no proof", p.first.Token(nil, form...), "invalid_dpop_proof")
	mustBeOf(t, "a proof", p.second.Token(h.TokenHeader(), form...), "DPoP")
	admin := mustBeOf(t, "machine", p.first.Token(nil, p.byMachine()...), "bearer")
	var shown struct{ DPoPBoundAccessTokens bool }
	if a := get(p.first, "/v1/apiclients/bound", "Authorization", "Bearer "+admin); json.Unmarshal([]byte(a.Body), &shown) != nil || !shown.DPoPBoundAccessTokens {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

// later tests that a proof that the server no longer remembers is too old, and that the reuse
// of an old refresh token ends the session only with a proof of the key.
func (p *dpopTest) later(t *testing.T) {
	h, thief := p.NewDPoPKey(t), p.NewDPoPKey(t)
	proof := h.TokenHeader()
	first := p.first.Token(proof, kit.PublicClientSignIn("john", kit.Password)...)
	mustBeOf(t, "sign-in", first, "DPoP")
	old := first.Field("refresh_token")
	token := p.first.Token(h.TokenHeader(), refreshSPA(old)...).Field("refresh_token")
	p.Clock.Advance(10 * time.Minute)
	mustFail(t, "an old proof", p.second.Token(proof, p.byMachine()...), "invalid_dpop_proof")
	mustFail(t, "the old token, no key", p.first.Token(nil, refreshSPA(old)...), "invalid_dpop_proof")
	mustFail(t, "the old token, another key", p.second.Token(thief.TokenHeader(), refreshSPA(old)...), "invalid_grant")
	next := p.second.Token(h.TokenHeader(), refreshSPA(token)...)
	mustBeOf(t, "the family is unharmed", next, "DPoP")
	mustFail(t, "the old token, the key", p.second.Token(h.TokenHeader(), refreshSPA(old)...), "invalid_grant")
	mustFail(t, "the family has ended", p.first.Token(h.TokenHeader(), refreshSPA(next.Field("refresh_token"))...), "invalid_grant")
}
