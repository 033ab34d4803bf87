package proof

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"latchkey/keys"
	"latchkey/oauth/dpop"
	"latchkey/storage"
)

// Why a proof is refused.
var (
	// ErrInvalid says that a proof is missing, does not fit the request, or was
	// used before.
	ErrInvalid = errors.New("no valid DPoP proof")
	// ErrUseNonce says that the proof must carry a nonce of this server, which is
	// in the NonceHeader of the answer (RFC 9449 §8).
	ErrUseNonce = errors.New("the DPoP proof has no nonce of this server")
)

// UsedIDs remembers which proofs were used.
type UsedIDs interface {
	// SpendID returns storage.ErrConflict if the id was spent before. The store
	// may forget the id after expiresAt.
	SpendID(ctx context.Context, id []byte, expiresAt time.Time) error
	// IsSpent reports whether the id was spent.
	IsSpent(ctx context.Context, id []byte) (bool, error)
}

// Config configures a Verifier. All fields but RequireNonce are required.
type Config struct {
	Issuer       string // the server's identifier; proofs name URLs below it
	RequireNonce bool   // a proof must carry a nonce (RFC 9449 §8)
	UsedIDs      UsedIDs
	Peppers      *keys.Peppers // of nonces
	Now          func() time.Time
}

// Verifier verifies the proofs of requests to this server.
type Verifier struct{ cfg Config }

// New returns a Verifier, or an error if a field is missing.
func New(cfg Config) (*Verifier, error) {
	if cfg.Issuer == "" || cfg.UsedIDs == nil || cfg.Peppers == nil || cfg.Now == nil {
		return nil, errors.New("proof: Issuer, UsedIDs, Peppers and Now are required")
	}
	return &Verifier{cfg}, nil
}

// Proof is a verified proof that is not spent yet. The zero value stands for a
// request without a proof.
type Proof struct {
	JKT    string // thumbprint of the key (RFC 7638)
	digest []byte // of this use
	until  time.Time
}

// Read verifies the proof of a request. It returns the zero Proof for a request
// without one. token is the access token that the proof must name, or "" at the
// token endpoint. Errors: ErrInvalid, ErrUseNonce.
func (v *Verifier) Read(r *http.Request, token string) (Proof, error) {
	sent, err := dpop.FromHeader(r.Header)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if sent == "" {
		return Proof{}, nil
	}
	verified, request, err := v.verify(sent, r, token)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if verified.Nonce == "" && v.cfg.RequireNonce || verified.Nonce != "" && !v.isNonce(verified.Nonce) {
		return Proof{}, ErrUseNonce
	}
	return Proof{JKT: verified.JKT, digest: verified.Digest("dpop\x00"+v.cfg.Issuer, request), until: v.proofs().AcceptedUntil(verified)}, nil
}

// verify compares the proof with each URL that the request may have been
// sent to.
func (v *Verifier) verify(sent string, r *http.Request, token string) (verified dpop.Proof, request dpop.Request, err error) {
	for _, target := range v.targets(r) {
		request = dpop.Request{Method: r.Method, URL: target, AccessToken: token}
		if verified, err = v.proofs().Verify(sent, request); err == nil {
			break
		}
	}
	return verified, request, err
}

func (v *Verifier) proofs() *dpop.Verifier { return &dpop.Verifier{Now: v.cfg.Now} }

// targets returns the URLs that a request may have been sent to. The host is the
// issuer's, whatever the request says. If a proxy removes the issuer's path, the
// client has used a longer path than the one of the request.
func (v *Verifier) targets(r *http.Request) []string {
	base := strings.TrimSuffix(v.cfg.Issuer, "/")
	path, own := requestPath(r), strings.TrimSuffix(issuerPath(v.cfg.Issuer), "/")
	origin := strings.TrimSuffix(base, own)
	if own == "" || strings.HasPrefix(path, own+"/") {
		return []string{origin + path}
	}
	return []string{base + path, origin + path}
}

// requestPath returns the path that the client sent. listen.Below removes the
// issuer's path from r.URL, but not from r.RequestURI.
func requestPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// CheckUnspent returns ErrInvalid if the proof was spent before, and the errors of the
// store. It returns nil for the zero Proof.
func (v *Verifier) CheckUnspent(ctx context.Context, sent Proof) error {
	if sent.JKT == "" {
		return nil
	}
	spent, err := v.cfg.UsedIDs.IsSpent(ctx, sent.digest)
	if err != nil {
		return fmt.Errorf("look for a spent DPoP proof: %w", err)
	}
	if spent {
		return fmt.Errorf("%w: it was used before", ErrInvalid)
	}
	return nil
}

// Spend makes a proof unusable. It returns ErrInvalid if the proof was spent
// before, and the errors of the store. It returns nil for the zero Proof.
func (v *Verifier) Spend(ctx context.Context, used Proof) error {
	if used.JKT == "" {
		return nil
	}
	err := v.cfg.UsedIDs.SpendID(ctx, used.digest, used.until)
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: it was used before", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("spend DPoP proof: %w", err)
	}
	return nil
}

func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // the server does not start with such an issuer
		return ""
	}
	return u.Path
}
