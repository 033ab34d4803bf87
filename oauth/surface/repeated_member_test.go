package surface

import "testing"

func TestRepeatedMember(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{}`: "", `[]`: "", `"a"`: "", `1e400`: "", `null`: "", ``: "",
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}`: "",
		`{"a":1,"a":1}`:                      "a",
		`{"a":1,"b":2,"\u0061":1}`:           "a",
		`{"name":1,"NAME":1}`:                "NAME",
		`{"\u017fub":1,"sub":1}`:             "sub",
		`{"\u212aid":1,"kid":1}`:             "kid",
		`{"data":{"name":"x","name":"y"}}`:   "data.name",
		`{"data":{},"Data":{}}`:              "Data",
		`{"data":[1,[{"x":{"y":1,"y":2}}]]}`: "data.x.y",
		`{"data":[{"x":1}],"data":2}`:        "data",
	} {
		if got := RepeatedMember([]byte(document)); got != want {
			t.Errorf("%s: got %q, want %q", document, got, want)
		}
	}
}
