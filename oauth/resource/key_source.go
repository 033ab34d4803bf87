package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxDocument   = 1 << 20 // bytes of a key set or of metadata
	maxRedirects  = 3
	minMaxAge     = time.Second
	maxMaxAge     = 24 * time.Hour
	defaultMaxAge = 5 * time.Minute
)

// keySource fetches the keys over HTTP. It is not safe for concurrent use.
type keySource struct {
	client     *http.Client
	issuer     string
	configured string // URL of the key set; empty: use the metadata
	discovered string // URL of the key set in the metadata; empty: not read yet
	algorithms []string
}

func newKeySource(cfg Config) *keySource {
	client := http.Client{}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	if client.Timeout == 0 {
		client.Timeout = fetchTimeout
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = sameOrigin
	}
	return &keySource{client: &client, issuer: cfg.Issuer, configured: cfg.JWKSURL, algorithms: cfg.Algorithms}
}

// sameOrigin refuses redirects to another origin. Otherwise an open redirect of the
// issuer would let an attacker supply the keys.
func sameOrigin(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if len(before) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errors.New("too many redirects, or a redirect to another origin")
	}
	return nil
}

// fetch returns the keys and their max-age.
func (s *keySource) fetch(ctx context.Context) (map[string]key, time.Duration, error) {
	location, err := s.location(ctx)
	if err != nil {
		return nil, 0, err
	}
	body, header, err := s.get(ctx, location)
	if err != nil {
		s.discovered = "" // the URL may have changed
		return nil, 0, err
	}
	keys, err := parseKeys(body, s.algorithms)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", location, err)
	}
	return keys, maxAge(header), nil
}

// location returns the URL of the key set: the configured one, or that of the metadata.
func (s *keySource) location(ctx context.Context) (string, error) {
	if s.configured != "" {
		return s.configured, nil
	}
	if s.discovered != "" {
		return s.discovered, nil
	}
	body, _, err := s.get(ctx, metadataURL(s.issuer))
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return "", fmt.Errorf("metadata of the issuer: %w", err)
	}
	if metadata.Issuer != s.issuer { // RFC 8414 §3.3
		return "", fmt.Errorf("metadata of the issuer %.200q, want %q", metadata.Issuer, s.issuer)
	}
	if !isHTTPURL(metadata.JWKSURI) || strings.HasPrefix(s.issuer, "https:") && !strings.HasPrefix(metadata.JWKSURI, "https:") {
		return "", fmt.Errorf("metadata of the issuer: jwks_uri %.200q", metadata.JWKSURI)
	}
	s.discovered = metadata.JWKSURI
	return s.discovered, nil
}

// metadataURL returns the URL of the issuer's metadata. The well-known path comes before
// the issuer's own path (RFC 8414 §3.1).
func metadataURL(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // New has parsed it already
		return issuer
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + path
}

func (s *keySource) get(ctx context.Context, location string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: %w", location, err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err // names the URL already
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("get %s: %w", location, err)
	case response.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("get %s: status %d", location, response.StatusCode)
	case len(body) > maxDocument:
		return nil, nil, fmt.Errorf("get %s: longer than %d bytes", location, maxDocument)
	}
	return body, response.Header, nil
}

// maxAge returns how long a response may be cached (RFC 9111 §5.2.2), less its Age
// (§5.1).
func maxAge(h http.Header) time.Duration {
	age := defaultMaxAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minMaxAge
		case "max-age":
			age = seconds(strings.Trim(value, `"`), maxMaxAge)
		}
	}
	age -= seconds(h.Get("Age"), maxMaxAge)
	return min(max(age, minMaxAge), maxMaxAge)
}

// seconds parses a number of seconds. It returns 0 if the text is not a number, and at
// most limit (RFC 9111 §1.2.2).
func seconds(text string, limit time.Duration) time.Duration {
	n, err := strconv.ParseUint(text, 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return limit
	}
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, limit)
}
