package admin

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestChangedMembers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", `{"A":1,"B":[1,2]}`, `{"B":[1,2],"A":1}`, nil},
		{"values", `{"A":1,"B":true,"C":"x"}`, `{"A":2,"B":false,"C":"x"}`, []string{"A", "B"}},
		{"absent is the same as empty", `{"A":null,"B":"","C":[]}`, `{}`, nil},
		{"a new object", `null`, `{"A":1,"B":null,"C":{"D":"x"}}`, []string{"A", "C.D"}},
		{"members of members", `{"P":{"Q":{"R":1,"S":2}}}`, `{"P":{"Q":{"R":1,"S":3}}}`, []string{"P.Q.S"}},
		{"an object that goes", `{"P":{"Q":1}}`, `{"P":null}`, []string{"P.Q"}},
		{"not into xp", `{"xp":{"secret name":1}}`, `{"xp":{"secret name":2}}`, []string{"xp"}},
	} {
		if got := ChangedMembers(json.RawMessage(test.before), json.RawMessage(test.after)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestCallerRequire(t *testing.T) {
	t.Parallel()
	caller := Caller{Roles: []string{"A", "B"}}
	if err := caller.Require([]string{"B"}, nil, []string{"A"}); err != nil {
		t.Error(err)
	}
	denied, ok := caller.Require([]string{"C", "A"}, []string{"C", "FullAccess"}).(*Denied) //nolint:errorlint // it is not wrapped
	if !ok || !slices.Equal(denied.Missing, []string{"C", "FullAccess"}) || !slices.Equal(denied.Has, caller.Roles) {
		t.Errorf("got %+v", denied)
	}
	if err := (Caller{Roles: []string{RoleFullAccess}}).Require([]string{"C"}); err != nil {
		t.Error(err)
	}
}
