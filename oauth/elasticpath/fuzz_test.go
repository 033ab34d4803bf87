package elasticpath

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzRead takes bodies through the whole of the decoder: what it accepts is a
// JSON object in "data" of the right type, and reads the same when it is written
// again; what it refuses, it refuses with a status.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"type":"password_profile","name":"a","code_length":8}}`, `{"data":{"name":null}}`, `{"data":[]}`, `{"data":{"type":1}}`, `{"data":{"TYPE":"account"}}`,
		`{"data":{"name":"a","name":"b"}}`, `{"data":{"code_length":1.5}}`, `{"DATA":{"type":"password_profile"}}`, "{\"data\":{\"name\":\"\xff\"}}", ``,
	} {
		f.Add(seed, "application/json")
	}
	f.Add(`{"data":{}}`, "text/plain")
	f.Fuzz(func(t *testing.T, body, media string) {
		read := func(text string) (ProfileBody, members, error) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
			r.Header["Content-Type"] = []string{media}
			var into ProfileBody
			c := &call{Request: r, w: httptest.NewRecorder()}
			all, err := c.read(&into, typeProfile)
			return into, all, err
		}
		got, all, err := read(body)
		if err != nil {
			if answer, known := answerTo(err, time.Now()); !known || answer.status < 400 || answer.status > 499 {
				t.Errorf("%q (%s): %v", body, media, err)
			}
			return
		}
		var kind string
		if given, ok := all["type"]; ok && (json.Unmarshal(given, &kind) != nil || kind != typeProfile) {
			t.Errorf("%q: took the type %s", body, given)
		}
		got.Type = new(typeProfile)
		again, err := json.Marshal(map[string]any{"data": got})
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := read(string(again))
		if err != nil || !reflect.DeepEqual(got, second) {
			t.Errorf("%q reads as %+v, and written again (%s) as %+v, %v", body, got, again, second, err)
		}
		_ = got.check(true) // must not panic
	})
}
