package resource

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey/oauth/dpop"
)

// DPoP configures how tokens that are bound to a key are accepted (RFC 9449).
type DPoP struct {
	// BaseURL is the URL at which clients reach this service: scheme, host, and the
	// part of the path that a proxy removes. It is compared with the proof. The
	// Host header cannot be used for that: an attacker could replay a proof for
	// another service and name that service in Host. Required.
	BaseURL string
	// Algorithms are the accepted algorithms of proofs, among ES256, EdDSA, RS256
	// and PS256. Empty: all of them.
	Algorithms []string
	// MaxAge is the maximum age of a proof. 0: dpop.DefaultMaxAge.
	MaxAge time.Duration
	// UsedProofs records used proofs. Replicas that share one accept each proof
	// once in total. Nil: the process keeps the record in memory, and answers 503
	// when it is full.
	UsedProofs UsedProofs
}

// proofs checks DPoP proofs.
type proofs struct {
	base       string
	algorithms []string
	verifier   dpop.Verifier
	used       UsedProofs
}

func newProofs(cfg DPoP, now func() time.Time) (*proofs, error) {
	if !isHTTPURL(cfg.BaseURL) {
		return nil, errors.New("DPoP needs a base URL")
	}
	if cfg.MaxAge < 0 {
		return nil, errors.New("negative duration")
	}
	p := &proofs{
		base: strings.TrimSuffix(cfg.BaseURL, "/"), algorithms: slices.Clone(cfg.Algorithms), used: cfg.UsedProofs,
		verifier: dpop.Verifier{Algorithms: cfg.Algorithms, Now: now, MaxAge: cfg.MaxAge},
	}
	if len(p.algorithms) == 0 {
		p.algorithms = dpop.Algorithms()
	}
	for _, alg := range p.algorithms {
		if !slices.Contains(dpop.Algorithms(), alg) {
			return nil, fmt.Errorf("algorithm %q of proofs is not supported", alg)
		}
	}
	if p.used == nil {
		p.used = newProofMemory(now)
	}
	return p, nil
}

// check checks the proof that the sender of a token has the key to which it is bound.
// A token that is not bound to a key is refused, because its sender relies on the
// protection of DPoP.
func (p *proofs) check(r *http.Request, token string, t *Token) error {
	if t.KeyThumbprint == "" {
		return fmt.Errorf("%w: not bound to a key", ErrInvalidToken)
	}
	return p.spend(r, token, t.KeyThumbprint)
}

// spend checks the proof of a request and records it as used. It must be called after
// the token was verified. Otherwise anybody could fill the record of used proofs.
func (p *proofs) spend(r *http.Request, token, thumbprint string) error {
	header, err := dpop.FromHeader(r.Header)
	if err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	request := dpop.Request{Method: r.Method, URL: p.base + originalPath(r), AccessToken: token}
	proof, err := p.verifier.Verify(header, request)
	if err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	if proof.JKT != thumbprint {
		return fmt.Errorf("%w: bound to another key", ErrInvalidToken)
	}
	first, err := p.used.Spend(r.Context(), proof.Digest("resource", request), p.verifier.AcceptedUntil(proof))
	switch {
	case err != nil:
		return fmt.Errorf("%w: used proofs: %w", ErrUnavailable, err)
	case !first:
		return fmt.Errorf("%w: used before", errProof)
	}
	return nil
}

// originalPath returns the path of the request as the service received it. A handler like
// http.StripPrefix may have changed r.URL.
func originalPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}
