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

// DPoP says how tokens that are bound to a key are taken (RFC 9449).
type DPoP struct {
	// BaseURL is where clients reach this service: scheme, host, and whatever
	// stands in front of the path of a request as it arrives. The Host header
	// will not do, since a proof that was made for another service would be as
	// good as one for this. Required.
	BaseURL string
	// Algorithms are taken of proofs, of ES256, EdDSA, RS256 and PS256. Empty:
	// all.
	Algorithms []string
	// MaxAge is how old a proof may be. 0: dpop.DefaultMaxAge.
	MaxAge time.Duration
	// Replays remembers used proofs. Several replicas of a service that share
	// one let each proof be used once with all of them together. Nil: the
	// process remembers, and answers 503 when there are too many.
	Replays Replays
}

// proofs checks DPoP proofs.
type proofs struct {
	base       string
	algorithms []string
	verifier   dpop.Verifier
	replays    Replays
}

func newProofs(cfg DPoP, now func() time.Time) (*proofs, error) {
	if !isHTTP(cfg.BaseURL) {
		return nil, errors.New("DPoP needs a base URL")
	}
	if cfg.MaxAge < 0 {
		return nil, errors.New("negative duration")
	}
	p := &proofs{
		base: strings.TrimSuffix(cfg.BaseURL, "/"), algorithms: slices.Clone(cfg.Algorithms), replays: cfg.Replays,
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
	if p.replays == nil {
		p.replays = newMemory(now)
	}
	return p, nil
}

// check demands a proof that the presenter of a token has the key that it is
// bound to. A token that is bound to none is refused as well: whoever sends it
// thinks that it is safe from theft.
func (p *proofs) check(r *http.Request, token string, t *Token) error {
	if t.KeyThumbprint == "" {
		return fmt.Errorf("%w: bound to no key", ErrInvalidToken)
	}
	return p.spend(r, token, t.KeyThumbprint)
}

// spend checks the proof of a request and uses it up. It is asked after the
// token was verified, so that nobody else fills the memory.
func (p *proofs) spend(r *http.Request, token, thumbprint string) error {
	header, err := dpop.FromHeader(r.Header)
	if err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	request := dpop.Request{Method: r.Method, URL: p.base + path(r), AccessToken: token}
	proof, err := p.verifier.Verify(header, request)
	if err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	if proof.JKT != thumbprint {
		return fmt.Errorf("%w: bound to another key", ErrInvalidToken)
	}
	first, err := p.replays.Spend(r.Context(), proof.Digest("resource", request), p.verifier.AcceptedUntil(proof))
	switch {
	case err != nil:
		return fmt.Errorf("%w: used proofs: %w", ErrUnavailable, err)
	case !first:
		return fmt.Errorf("%w: used before", errProof)
	}
	return nil
}

// path is that of the request as it arrived. A handler in front may have cut
// something off r.URL, as http.StripPrefix does.
func path(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}
