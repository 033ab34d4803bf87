package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

// FuzzDecodeData tests that accepted data has the right type and is the same after it was
// encoded and decoded again. Other data must be refused with an expected error.
func FuzzDecodeData(f *testing.F) {
	for _, seed := range []string{
		`{"type":"password_profile","name":"a","code_length":8}`, `{"name":null}`, `[]`, `{"type":1}`, `{"TYPE":"account"}`,
		`{"name":"a","name":"b"}`, `{"code_length":1.5}`, "{\"name\":\"\xff\"}", ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		read := func(text string) (ProfileBody, Members, error) {
			var into ProfileBody
			all, err := DecodeData([]byte(text), &into, TypeProfile)
			return into, all, err
		}
		got, all, err := read(data)
		if err != nil {
			if invalid := (*InvalidError)(nil); !errors.As(err, &invalid) && !errors.Is(err, ErrBody) {
				t.Errorf("%q: got %v, want an InvalidError or ErrBody", data, err)
			}
			return
		}
		var kind string
		if given, ok := all["type"]; ok && (json.Unmarshal(given, &kind) != nil || kind != TypeProfile) {
			t.Errorf("%q: accepted the type %s, want an error", data, given)
		}
		got.Type = new(TypeProfile)
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := read(string(again))
		if err != nil || !reflect.DeepEqual(got, second) {
			t.Errorf("%q: got %+v, and encoded again as %s, %+v, error %v", data, got, again, second, err)
		}
		_ = got.Check(true) // must not panic
	})
}

func TestDecodeData(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"good", `{"type":"user_authentication_info","name":"n","unknown":[1],"given_name":null}`, ""},
		{"no type", `{"name":"n"}`, ""},
		{"nothing", ``, "Validation failed: field 'data' on the 'required' tag."},
		{"null", `null`, "Validation failed: field 'data' on the 'required' tag."},
		{"a list", `[]`, "Validation failed: field 'data' on the 'required' tag."},
		{"another type", `{"type":"account"}`, "Validation failed: field 'type' on the 'eq' tag."},
		{"a number for a type", `{"type":1}`, "Validation failed: field 'type' on the 'eq' tag."},
		{"a number for a name", `{"name":1}`, "Validation failed: field 'name' on the 'type' tag."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var body UserBody
			sent, err := DecodeData([]byte(tt.data), &body, TypeUser)
			if tt.want != "" {
				if err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || body.Name == nil || *body.Name != "n" || sent.IsNull("given_name") != (tt.name == "good") {
				t.Errorf("got %+v %v, error %v", body, sent, err)
			}
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 9, 5, 16, 53, 1, 584999000, time.FixedZone("", 2*3600))
	if got := Time(at); got != "2023-09-05T14:53:01.584Z" {
		t.Error(got)
	}
}
