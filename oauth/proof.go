package oauth

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey/oauth/dpop"
	"latchkey/storage"
)

// Why a proof of possession (RFC 9449) is refused. Resource endpoints answer
// either as an invalid token.
var (
	// ErrInvalidProof says that a DPoP proof is missing, proves nothing, or was
	// used before.
	ErrInvalidProof = fmt.Errorf("%w: no valid DPoP proof", ErrInvalidToken)
	// ErrUseNonce says that the proof must have a nonce of ours, which the answer
	// tells in the header DPoP-Nonce (RFC 9449 §8).
	ErrUseNonce = fmt.Errorf("%w: the DPoP proof has no nonce of this server", ErrInvalidToken)
)

const (
	nonceHeader  = "DPoP-Nonce"
	noncePurpose = "dpop_nonce"
	nonceLife    = 5 * time.Minute // a nonce is good for the rest of this and as long again
)

// proof is a verified proof that has yet to be used up. The zero value is none.
type proof struct {
	jkt    string
	digest []byte // of this use
	until  time.Time
}

// readProof verifies the DPoP proof of a request, if it has one. With an access
// token the proof must be for that.
func (p *Provider) readProof(r *http.Request, token string) (proof, error) {
	sent, err := dpop.FromHeader(r.Header)
	if err != nil {
		return proof{}, fmt.Errorf("%w: %w", ErrInvalidProof, err)
	}
	if sent == "" {
		return proof{}, nil
	}
	verified, request, err := p.verifyProof(sent, r, token)
	if err != nil {
		return proof{}, fmt.Errorf("%w: %w", ErrInvalidProof, err)
	}
	if verified.Nonce == "" && p.cfg.DPoPNonce || verified.Nonce != "" && !p.isNonce(verified.Nonce) {
		return proof{}, ErrUseNonce
	}
	return proof{jkt: verified.JKT, digest: verified.Digest("dpop\x00"+p.cfg.Issuer, request), until: p.proofs().AcceptedUntil(verified)}, nil
}

// verifyProof compares the proof with each URL that the request may have been
// sent to.
func (p *Provider) verifyProof(sent string, r *http.Request, token string) (verified dpop.Proof, request dpop.Request, err error) {
	for _, target := range p.targets(r) {
		request = dpop.Request{Method: r.Method, URL: target, AccessToken: token}
		if verified, err = p.proofs().Verify(sent, request); err == nil {
			break
		}
	}
	return verified, request, err
}

func (p *Provider) proofs() *dpop.Verifier { return &dpop.Verifier{Now: p.cfg.Now} }

// targets are the URLs that a request may have been sent to. The host is the
// issuer's, whatever the request says; where a proxy takes the issuer's path
// away, the client has not seen the path that is seen here.
func (p *Provider) targets(r *http.Request) []string {
	path, own := requestPath(r), strings.TrimSuffix(issuerPath(p.cfg.Issuer), "/")
	origin := strings.TrimSuffix(p.base, own)
	if own == "" || strings.HasPrefix(path, own+"/") {
		return []string{origin + path}
	}
	return []string{p.base + path, origin + path}
}

// requestPath is the path that the client sent, although listen.Below takes the
// issuer's path off r.URL.
func requestPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// checkUnused returns ErrInvalidProof if the proof was used up before.
func (p *Provider) checkUnused(ctx context.Context, sent proof) error {
	if sent.jkt == "" {
		return nil
	}
	spent, err := p.cfg.Tokens.IsSpent(ctx, sent.digest)
	if err != nil {
		return fmt.Errorf("look for a used DPoP proof: %w", err)
	}
	if spent {
		return fmt.Errorf("%w: it was used before", ErrInvalidProof)
	}
	return nil
}

// useUp lets a proof be used this once.
func (p *Provider) useUp(ctx context.Context, used proof) error {
	if used.jkt == "" {
		return nil
	}
	err := p.cfg.Tokens.SpendID(ctx, used.digest, used.until)
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: it was used before", ErrInvalidProof)
	}
	if err != nil {
		return fmt.Errorf("use up DPoP proof: %w", err)
	}
	return nil
}

// nonce returns what a proof may have for a nonce now: the number of a stretch of
// time, authenticated, so that every replica knows it and none remembers it.
func (p *Provider) nonce() string {
	id := p.cfg.Peppers.CurrentID()
	stretch := strconv.FormatInt(p.cfg.Now().Unix()/int64(nonceLife.Seconds()), 10)
	return id + "." + stretch + "." + p.nonceMAC(id, stretch)
}

// isNonce tells whether a nonce is of this stretch of time or one next to it: the
// clock of the replica that gave it may be ahead.
func (p *Provider) isNonce(nonce string) bool {
	parts := strings.Split(nonce, ".")
	if len(parts) != 3 {
		return false
	}
	stretch, err := strconv.ParseInt(parts[1], 10, 64)
	want := p.nonceMAC(parts[0], parts[1])
	if err != nil || want == "" || !hmac.Equal([]byte(want), []byte(parts[2])) {
		return false
	}
	age := p.cfg.Now().Unix()/int64(nonceLife.Seconds()) - stretch
	return -1 <= age && age <= 1
}

// nonceMAC is empty if there is no such pepper.
func (p *Provider) nonceMAC(pepperID, stretch string) string {
	mac, _ := p.cfg.Peppers.MAC(pepperID, noncePurpose, []byte(p.cfg.Issuer+"\x00"+stretch))
	return base64.RawURLEncoding.EncodeToString(mac)
}
