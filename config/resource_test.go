package config

import "testing"

func TestResource(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"https://api.example":          true,
		"https://API.example/orders/":  true,
		"https://api.example/a?b=c":    true,
		"urn:example:orders":           true,
		"":                             false,
		"orders":                       false,
		"/orders":                      false,
		"//api.example/orders":         false,
		"https://":                     false,
		"https://api.example/#":        false,
		"https://api.example/#orders":  false,
		"https://me@api.example":       false,
		"https://api.example/a b":      false,
		"https://api.example/\x00":     false,
		"http://[::1":                  false,
		"https://api.example/%zz":      false,
		"urn:":                         false,
		"https://api.example/a,b":      true, // a list splits at commas before
		"https://api.example/ orders ": false,
	} {
		var r Resource
		err := r.UnmarshalText([]byte(text))
		if (err == nil) != good || good && string(r) != text || !good && r != "" {
			t.Errorf("%q: got %q (%v)", text, r, err)
		}
	}
}
