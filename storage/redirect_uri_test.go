package storage_test

import (
	"testing"

	"latchkey/storage"
)

func TestCheckRedirectURI(t *testing.T) {
	t.Parallel()
	for uri, good := range map[string]bool{
		"https://app.example/cb":            true,
		"https://app.example/cb?tenant=1":   true,
		"http://127.0.0.1/cb":               true,
		"http://127.0.0.1:8400/cb":          true,
		"http://[::1]:8400/cb":              true,
		"http://localhost:3000/cb":          true,
		"com.example.app:/cb":               true,
		"com.example.app://oauth/cb":        true,
		"http://app.example/cb":             false,
		"http://127.0.0.1.evil.example/cb":  false,
		"http://localhost.evil.example/cb":  false,
		"https://app.example/cb#x":          false,
		"https://app.example/cb#":           false,
		"https://*.app.example/cb":          false,
		"https://user@app.example/cb":       false,
		"https://app.example\\@evil/cb":     false,
		"https://app.example/a b":           false,
		"https://app.example/\u00e9":        false,
		"https:///cb":                       false,
		"/cb":                               false,
		"//app.example/cb":                  false,
		"":                                  false,
		"javascript:alert(1)":               false,
		"JavaScript:alert(1)":               false,
		"data:text/html,x":                  false,
		"vbscript:x":                        false,
		"file:///etc/passwd":                false,
		"myapp:/cb":                         false,
		"blob:https://app.example/1":        false,
		"com.example.app:":                  false,
		"view-source:https://app.example/1": false,
		"https://[2001:db8::1]:8443/cb":     true,
		"https://under_score.example/cb":    true,
		"https://app.example./cb":           true,
		"https://app.example;sandbox/cb":    false,
		"https://app.example,x/cb":          false,
		"https://app'example/cb":            false,
		"https://app..example/cb":           false,
		"https://(app)/cb":                  false,
		"https://[fe80::1%25eth0]/cb":       false,
	} {
		if err := storage.CheckRedirectURI(uri); (err == nil) != good {
			t.Errorf("%q: got error %v, want valid: %t", uri, err, good)
		}
	}
}

func TestHasRedirectURI(t *testing.T) {
	t.Parallel()
	c := storage.Client{RedirectURIs: []string{
		"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost:3000/cb?a=1", "com.example.app:/cb",
	}}
	for uri, has := range map[string]bool{
		"https://app.example/cb":               true,
		"http://127.0.0.1/cb":                  true,
		"http://127.0.0.1:51004/cb":            true,
		"http://[::1]:51004/cb":                true,
		"http://localhost:51004/cb?a=1":        true,
		"com.example.app:/cb":                  true,
		"https://app.example:443/cb":           false,
		"https://app.example/cb/":              false,
		"https://app.example/cb?x=1":           false,
		"HTTPS://app.example/cb":               false,
		"http://127.0.0.1:51004/cb/..":         false,
		"http://127.0.0.2:51004/cb":            false,
		"http://127.0.0.1:51004@evil/cb":       false,
		"http://127.0.0.1:51004.evil/cb":       false,
		"https://127.0.0.1:51004/cb":           false,
		"http://localhost:51004/cb":            false,
		"http://127.0.0.1:51004/cb#x":          false,
		"http://evil.example/http://127.0.0.1": false,
		"com.example.app:/cb2":                 false,
		"":                                     false,
	} {
		if got := c.HasRedirectURI(uri); got != has {
			t.Errorf("%q: got %v, want %v", uri, got, has)
		}
	}
}
