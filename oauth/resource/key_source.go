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

// source reads the keys over HTTP. One reading at a time uses it.
type source struct {
	client     *http.Client
	issuer     string
	configured string // URL of the key set; empty: ask the issuer
	discovered string // what the issuer said
	algorithms []string
}

func newSource(cfg Config) *source {
	client := http.Client{}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	if client.Timeout == 0 {
		client.Timeout = fetchTimeout
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = stayAtHome
	}
	return &source{client: &client, issuer: cfg.Issuer, configured: cfg.JWKSURL, algorithms: cfg.Algorithms}
}

// stayAtHome refuses to be sent to another origin: whoever can redirect there
// could make the keys.
func stayAtHome(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if len(before) > maxRedirects || next.URL.Scheme != first.Scheme || next.URL.Host != first.Host {
		return errors.New("redirected too often, or to another origin")
	}
	return nil
}

// fetch returns the keys and how long they may be kept.
func (s *source) fetch(ctx context.Context) (map[string]key, time.Duration, error) {
	location, err := s.location(ctx)
	if err != nil {
		return nil, 0, err
	}
	body, header, err := s.get(ctx, location)
	if err != nil {
		s.discovered = "" // it may have moved
		return nil, 0, err
	}
	keys, err := parseKeys(body, s.algorithms)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", location, err)
	}
	return keys, maxAge(header), nil
}

// location returns the URL of the key set, which the issuer's metadata tells if
// nothing else does.
func (s *source) location(ctx context.Context) (string, error) {
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
	if !isHTTP(metadata.JWKSURI) || strings.HasPrefix(s.issuer, "https:") && !strings.HasPrefix(metadata.JWKSURI, "https:") {
		return "", fmt.Errorf("metadata of the issuer: jwks_uri %.200q", metadata.JWKSURI)
	}
	s.discovered = metadata.JWKSURI
	return s.discovered, nil
}

// metadataURL is where RFC 8414 §3.1 puts the metadata: the well-known name
// comes before the issuer's own path.
func metadataURL(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // New has parsed it already
		return issuer
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + path
}

func (s *source) get(ctx context.Context, location string) ([]byte, http.Header, error) {
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

// maxAge returns how long an answer may be kept (RFC 9111 §5.2.2), less the time
// that it has spent in caches on the way (§5.1).
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

// seconds reads a number of seconds; what is none is 0, what is too large the
// most (RFC 9111 §1.2.2).
func seconds(text string, most time.Duration) time.Duration {
	n, err := strconv.ParseUint(text, 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return most
	}
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, most)
}
