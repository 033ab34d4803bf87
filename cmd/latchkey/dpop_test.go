package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDPoP is J1 and J2, over two replicas.
func TestDPoP(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(dpopClients)
		p := &possessionTest{world: w, first: w.serve(wireIssuer), second: w.serve(wireIssuer)}
		p.machine = w.adminClient(t, "--name", "machine", "--role", "FullAccess", "--grant", "client_credentials")
		for name, test := range map[string]func(*testing.T){
			"token": p.token, "race": p.race, "resource": p.resource, "resource race": p.resourceRace, "code": p.code,
			"refresh": p.refresh, "exchange": p.exchange, "nonce": p.nonce, "bound client": p.boundClient,
		} {
			t.Run(name, test)
		}
		t.Run("later", p.later) // moves the clock
	})
}

type possessionTest struct {
	*world
	first, second *node
	machine       createdClient
}

func (p *possessionTest) byMachine() []string {
	return []string{"grant_type", "client_credentials", "client_id", p.machine.ID, "client_secret", p.machine.Secret}
}

// token: what the answer, the token and introspection say, and which proofs are
// refused.
func (p *possessionTest) token(t *testing.T) {
	h := p.holder(t)
	proof := h.forToken()
	token := mustBeOf(t, "a good proof", p.first.token(proof, p.byMachine()...), "DPoP")
	cnf := map[string]any{"jkt": h.jkt}
	if _, claims := decoded(t, token); cmp.Diff(cnf, claims["cnf"]) != "" {
		t.Errorf("cnf is %v", claims["cnf"])
	}
	seen := p.second.form("/oauth/introspect", "client_id", p.machine.ID, "client_secret", p.machine.Secret, "token", token).wireBody(t)
	if cmp.Diff(cnf, seen["cnf"]) != "" || seen["token_type"] != "DPoP" || seen["active"] != true {
		t.Errorf("introspection: %v", seen)
	}
	now := p.clock.now()
	for what, header := range map[string][]string{
		"the proof again":   proof,
		"two proofs":        append(h.forToken(), h.forToken()...),
		"no proof in it":    {"DPoP", "x"},
		"another method":    h.proof(http.MethodGet, "/oauth/token"),
		"another path":      h.proof(http.MethodPost, "/oauth/revoke"),
		"the listener":      h.forToken("htu", p.second.url+"/oauth/token"),
		"too old":           h.forToken("iat", now.Add(-6*time.Minute).Unix()),
		"too new":           h.forToken("iat", now.Add(time.Minute).Unix()),
		"a jti of 257":      h.forToken("jti", strings.Repeat("x", 257)),
		"a proof of 20 KiB": h.forToken("more", strings.Repeat("x", 20<<10)),
	} {
		mustFail(t, what, p.second.token(header, p.byMachine()...), "invalid_dpop_proof")
	}
	mustBeOf(t, "no proof", p.first.token(nil, p.byMachine()...), "bearer")
}

// inParallel counts the statuses of requests that both replicas get at once.
func (p *possessionTest) inParallel(requests int, send func(n *node) answer) map[int]int {
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
			statuses[a.status]++
		})
	}
	close(gate)
	wait.Wait()
	return statuses
}

// race: of 50 uses of one proof one succeeds.
func (p *possessionTest) race(t *testing.T) {
	proof := p.holder(t).forToken()
	got := p.inParallel(50, func(n *node) answer { return n.token(proof, p.byMachine()...) })
	if diff := cmp.Diff(map[int]int{200: 1, 400: 49}, got); diff != "" {
		t.Errorf("statuses: %s", diff)
	}
}

// resourceRace: the same at a resource.
func (p *possessionTest) resourceRace(t *testing.T) {
	h := p.holder(t)
	token := mustBeOf(t, "sign-in", p.first.token(h.forToken(), bySPA("jane", janesPassword)...), "DPoP")
	use := h.forUse(token, http.MethodGet, "/v1/me")
	got := p.inParallel(50, func(n *node) answer { return n.get("/v1/me", use...) })
	if diff := cmp.Diff(map[int]int{200: 1, 401: 49}, got); diff != "" {
		t.Errorf("statuses: %s", diff)
	}
}

// resource is J2 at both dialects: a bound token is worth nothing without its key.
func (p *possessionTest) resource(t *testing.T) {
	h, thief := p.holder(t), p.holder(t)
	me := mustBeOf(t, "sign-in", p.first.token(h.forToken(), bySPA("jane", janesPassword)...), "DPoP")
	admin := mustBeOf(t, "machine", p.first.token(h.forToken(), p.byMachine()...), "DPoP")
	free := mustBeOf(t, "machine, unbound", p.first.token(nil, p.byMachine()...), "bearer")
	const dpop = `DPoP realm="latchkey", algs="ES256 EdDSA RS256 PS256"`
	for path, token := range map[string]string{"/v1/me": me, "/v1/apiclients": admin, settingsV2: admin} {
		for what, c := range map[string]struct {
			header    []string
			challenge string // "": it is let in
		}{
			"with its key":    {h.forUse(token, http.MethodGet, path), ""},
			"as bearer":       {[]string{"Authorization", "Bearer " + token}, `Bearer realm="latchkey", error="invalid_token"`},
			"bearer, proof":   {append(h.forUse(token, http.MethodGet, path)[:2], "Authorization", "Bearer "+token), `Bearer realm="latchkey", error="invalid_token"`},
			"no proof":        {[]string{"Authorization", "DPoP " + token}, dpop + `, error="invalid_dpop_proof"`},
			"another key":     {thief.forUse(token, http.MethodGet, path), dpop + `, error="invalid_token"`},
			"another path":    {h.forUse(token, http.MethodGet, "/v1/other"), dpop + `, error="invalid_dpop_proof"`},
			"another method":  {h.forUse(token, http.MethodPost, path), dpop + `, error="invalid_dpop_proof"`},
			"ath of another":  {append(h.forUse(free, http.MethodGet, path)[:2], "Authorization", "DPoP "+token), dpop + `, error="invalid_dpop_proof"`},
			"an unbound one":  {h.forUse(free, http.MethodGet, path), dpop + `, error="invalid_token"`},
			"in the query":    {nil, `Bearer realm="latchkey"`},
			"a strange nonce": {h.forUse(token, http.MethodGet, path, "nonce", "x"), dpop + `, error="use_dpop_nonce"`},
		} {
			query := ""
			if c.header == nil {
				query = "?access_token=" + free
			}
			a := p.second.get(path+query, c.header...)
			got := a.header.Get("WWW-Authenticate")
			if c.challenge == "" && a.status != 200 || c.challenge != "" && (a.status != 401 || !strings.HasPrefix(got, c.challenge)) {
				t.Errorf("%s, %s: %d, %s", path, what, a.status, got)
			}
			if nonce := a.header.Get("DPoP-Nonce"); (nonce != "") != (what == "a strange nonce") {
				t.Errorf("%s, %s: nonce %q", path, what, nonce)
			}
		}
	}
}

// code: a replayed proof burns no one-time password.
func (p *possessionTest) code(t *testing.T) {
	h := p.holder(t)
	spent := h.forToken()
	mustBeOf(t, "the first use", p.first.token(spent, p.byMachine()...), "DPoP")
	code := p.world.code(p.first, "jane")
	through := func(header []string) answer {
		return p.second.token(header, "grant_type", "password", "client_id", "shop", "client_secret", shopSecret, "username", "jane", "password", code)
	}
	mustFail(t, "the proof again, with a code", through(spent), "invalid_dpop_proof")
	mustBeOf(t, "the code, with another proof", through(h.forToken()), "DPoP")
	mustFail(t, "the code again", through(h.forToken()), "invalid_grant")
}

// refresh is J2 for the refresh tokens of public clients, and what confidential
// ones may do.
func (p *possessionTest) refresh(t *testing.T) {
	h, thief := p.holder(t), p.holder(t)
	first := p.first.token(h.forToken(), bySPA("john", janesPassword)...)
	mustBeOf(t, "sign-in", first, "DPoP")
	token := first.field("refresh_token")
	mustFail(t, "no key", p.second.token(nil, refreshSPA(token)...), "invalid_dpop_proof")
	mustFail(t, "another key", p.second.token(thief.forToken(), refreshSPA(token)...), "invalid_grant")
	second := p.second.token(h.forToken(), refreshSPA(token)...)
	if _, claims := decoded(t, mustBeOf(t, "its key", second, "DPoP")); cmp.Diff(map[string]any{"jkt": h.jkt}, claims["cnf"]) != "" {
		t.Errorf("cnf is %v", claims["cnf"])
	}
	desk := []string{"client_id", "shop", "client_secret", shopSecret}
	theirs := p.first.token(h.forToken(), append(desk, "grant_type", "password", "username", "john", "password", janesPassword)...)
	mustBeOf(t, "confidential", theirs, "DPoP")
	mustBeOf(t, "confidential, another key", p.second.token(thief.forToken(), append(desk, "grant_type", "refresh_token", "refresh_token", theirs.field("refresh_token"))...), "DPoP")
}

// exchange: what is made of a bound token needs its key, and is bound to it.
func (p *possessionTest) exchange(t *testing.T) {
	h := p.holder(t)
	token := mustBeOf(t, "sign-in", p.first.token(h.forToken(), bySPA("jane", janesPassword)...), "DPoP")
	form := []string{
		"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "spa", "subject_token", token,
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token",
	}
	mustFail(t, "no key", p.second.token(nil, form...), "invalid_dpop_proof")
	mustFail(t, "another key", p.second.token(p.holder(t).forToken(), form...), "invalid_request")
	made := mustBeOf(t, "its key", p.second.token(h.forToken(), form...), "DPoP")
	if _, claims := decoded(t, made); cmp.Diff(map[string]any{"jkt": h.jkt}, claims["cnf"]) != "" {
		t.Errorf("cnf is %v", claims["cnf"])
	}
}

// nonce: one replica demands what the other gave.
func (p *possessionTest) nonce(t *testing.T) {
	h, strict := p.holder(t), p.serve(wireIssuer, "LATCHKEY_DPOP_NONCE=true")
	told := strict.token(h.forToken(), p.byMachine()...)
	mustFail(t, "no nonce", told, "use_dpop_nonce")
	nonce := told.header.Get("DPoP-Nonce")
	got := strict.token(h.forToken("nonce", nonce), p.byMachine()...)
	token := mustBeOf(t, "its nonce", got, "DPoP")
	if got.header.Get("DPoP-Nonce") == "" {
		t.Error("no nonce for the next request")
	}
	mustBeOf(t, "its nonce at another replica", p.first.token(h.forToken("nonce", nonce), p.byMachine()...), "DPoP")
	mustFail(t, "a nonce of nobody", p.first.token(h.forToken("nonce", nonce+"x"), p.byMachine()...), "use_dpop_nonce")
	refused := strict.get("/v1/apiclients", h.forUse(token, http.MethodGet, "/v1/apiclients")...)
	if refused.status != 401 || !strings.Contains(refused.header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) {
		t.Errorf("resource without nonce: %d %v", refused.status, refused.header)
	}
	next := h.forUse(token, http.MethodGet, "/v1/apiclients", "nonce", refused.header.Get("DPoP-Nonce"))
	if a := strict.get("/v1/apiclients", next...); a.status != 200 {
		t.Errorf("resource with nonce: %d %s", a.status, a.body)
	}
	mustBeOf(t, "no proof", strict.token(nil, p.byMachine()...), "bearer")
}

// boundClient: RFC 9449 §5.2. What its settings are is told at /v1.
func (p *possessionTest) boundClient(t *testing.T) {
	h := p.holder(t)
	form := []string{"grant_type", "password", "client_id", "bound", "username", "jane", "password", janesPassword}
	mustFail(t, "no proof", p.first.token(nil, form...), "invalid_dpop_proof")
	mustBeOf(t, "a proof", p.second.token(h.forToken(), form...), "DPoP")
	admin := mustBeOf(t, "machine", p.first.token(nil, p.byMachine()...), "bearer")
	var shown struct{ DPoPBoundAccessTokens bool }
	if a := p.first.get("/v1/apiclients/bound", "Authorization", "Bearer "+admin); json.Unmarshal([]byte(a.body), &shown) != nil || !shown.DPoPBoundAccessTokens {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// later: a proof that is forgotten is too old as well, and the reuse of an old
// refresh token ends the session only in the hands of who has the key.
func (p *possessionTest) later(t *testing.T) {
	h, thief := p.holder(t), p.holder(t)
	proof := h.forToken()
	first := p.first.token(proof, bySPA("john", janesPassword)...)
	mustBeOf(t, "sign-in", first, "DPoP")
	old := first.field("refresh_token")
	token := p.first.token(h.forToken(), refreshSPA(old)...).field("refresh_token")
	p.clock.advance(10 * time.Minute)
	mustFail(t, "an old proof", p.second.token(proof, p.byMachine()...), "invalid_dpop_proof")
	mustFail(t, "the old token, no key", p.first.token(nil, refreshSPA(old)...), "invalid_dpop_proof")
	mustFail(t, "the old token, another key", p.second.token(thief.forToken(), refreshSPA(old)...), "invalid_grant")
	next := p.second.token(h.forToken(), refreshSPA(token)...)
	mustBeOf(t, "the family is unharmed", next, "DPoP")
	mustFail(t, "the old token, the key", p.second.token(h.forToken(), refreshSPA(old)...), "invalid_grant")
	mustFail(t, "the family has ended", p.first.token(h.forToken(), refreshSPA(next.field("refresh_token"))...), "invalid_grant")
}
