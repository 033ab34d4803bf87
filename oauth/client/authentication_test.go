package client

import (
	"encoding/base64"
	"net/url"
	"testing"
)

// FuzzBasicCredentials tests that credentials from a header are the same after they were
// encoded again as RFC 6749 §2.3.1 says, and decoded.
func FuzzBasicCredentials(f *testing.F) {
	for _, seed := range []string{"shop:secret", "a%3Ab:%25", "noColon", ":", "a:b:c", "%zz:x", "\xff:\x00", "a+b:c"} {
		f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte(seed)))
	}
	f.Add("bAsIc  c2hvcDp4 ")
	f.Add("Basic !!!")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		got, ok := basicCredentials([]string{header})
		if !ok {
			return
		}
		parts := url.QueryEscape(got.id) + ":" + url.QueryEscape(got.secret)
		again, ok := basicCredentials([]string{"Basic " + base64.StdEncoding.EncodeToString([]byte(parts))})
		if !ok || again != got || !got.header {
			t.Errorf("%q: got %+v, and after encoding again %+v, %v", header, got, again, ok)
		}
		if _, ok := basicCredentials([]string{header, header}); ok {
			t.Errorf("two headers %q were accepted, want an error", header)
		}
	})
}
