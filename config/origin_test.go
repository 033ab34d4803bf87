package config

import "testing"

func TestOrigin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Origin{
		"https://shop.example":      "https://shop.example",
		"https://Shop.Example:443":  "https://shop.example",
		"http://localhost:3000":     "http://localhost:3000",
		"https://shop.example:8443": "https://shop.example:8443",
		"https://[::1]:8443":        "https://[::1]:8443",
		"https://shop.example/":     "",
		"https://*.example":         "",
		"https://u@shop.example":    "",
		"https://shop.example?a":    "",
		"https://shop.example:":     "",
		"shop.example":              "",
		"null":                      "",
		"*":                         "",
		"ftp://shop.example":        "",
	} {
		var o Origin
		if err := o.UnmarshalText([]byte(text)); o != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q (%v), want %q", text, o, err, want)
		}
	}
}
