package elasticpath

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/oauth/elasticpath/wire"
)

// FuzzRead tests that every body is either read or refused with a 4xx status.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"type":"password_profile","name":"a","code_length":8}}`, `{"data":{"name":null}}`, `{"data":[]}`, `{"data":{"type":1}}`, `{"data":{"TYPE":"account"}}`,
		`{"data":{"name":"a","name":"b"}}`, `{"data":{"code_length":1.5}}`, `{"DATA":{"type":"password_profile"}}`, "{\"data\":{\"name\":\"\xff\"}}", ``,
	} {
		f.Add(seed, "application/json")
	}
	f.Add(`{"data":{}}`, "text/plain")
	f.Fuzz(func(t *testing.T, body, media string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header["Content-Type"] = []string{media}
		c := &call{Request: r, w: httptest.NewRecorder()}
		if _, err := c.read(&wire.ProfileBody{}, wire.TypeProfile); err != nil {
			if answer, known := refusalOf(err, testTime); !known || answer.status < 400 || answer.status > 499 {
				t.Errorf("%q (%s): got %v, want a 4xx status", body, media, err)
			}
		}
	})
}
