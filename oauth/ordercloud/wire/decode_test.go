package wire

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type testInner struct {
	Count int
	Names []string
}

type TestEmbedded struct{ ID string }

type testOuter struct {
	TestEmbedded
	Name   *string
	Active *bool
	Inner  []testInner
	XP     json.RawMessage `json:"xp"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	const doc = `{"ID":"a","Name":"n","Active":false,"Inner":[{"Count":2,"Names":["x","y"]},{}],"xp":{"any":["thing",1]}}`
	var got testOuter
	if faults := Decode([]byte(doc), "", &got); faults != nil {
		t.Fatal(faults)
	}
	want := testOuter{
		TestEmbedded: TestEmbedded{ID: "a"}, Name: new("n"), Active: new(false),
		Inner: []testInner{{Count: 2, Names: []string{"x", "y"}}, {}}, XP: json.RawMessage(`{"any":["thing",1]}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeAbsentNullAndEmpty(t *testing.T) {
	t.Parallel()
	var got testOuter
	if faults := Decode([]byte(`{"ID":null,"Active":null,"Inner":[],"xp":null}`), "", &got); faults != nil {
		t.Fatal(faults)
	}
	if got.Inner == nil || got.Active != nil || got.XP != nil {
		t.Errorf("got %+v; want an empty list and nothing else", got)
	}
}

func TestDecodeFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		want      Faults
	}{
		{"no document", `{"ID":`, Faults{{Path: "Items[1]", Problem: "not a JSON document"}}},
		{"two documents", `{} {}`, Faults{{Path: "Items[1]", Problem: "not a JSON document"}}},
		{"not an object", `[]`, Faults{{Path: "Items[1]", Problem: "must be an object"}}},
		{"unknown members, nested too", `{"Color":1,"Nmae":1,"Inner":[{},{"count":1}]}`, Faults{
			{Path: "Items[1].Color", Problem: "unknown member"},
			{Path: "Items[1].Nmae", Problem: "unknown member; did you mean Name?"},
			{Path: "Items[1].Inner[1].count", Problem: "unknown member; did you mean Count?"},
		}},
		{"twice", `{"ID":"a","ID":"b"}`, Faults{{Path: "Items[1].ID", Problem: "occurs twice"}}},
		{"wrong types, all of them", `{"ID":1,"Active":"yes","Inner":[{"Count":1.5,"Names":"x"},null],"Name":true}`, Faults{
			{Path: "Items[1].ID", Problem: "must be a string (in YAML, quote what looks like a number)"},
			{Path: "Items[1].Active", Problem: "must be true or false"},
			{Path: "Items[1].Inner[0].Count", Problem: "must be a whole number"},
			{Path: "Items[1].Inner[0].Names", Problem: "must be a list"},
			{Path: "Items[1].Inner[1]", Problem: "must not be null"},
			{Path: "Items[1].Name", Problem: "must be a string (in YAML, quote what looks like a number)"},
		}},
		{"number too large", `{"Inner":[{"Count":1e400}]}`, Faults{{Path: "Items[1].Inner[0].Count", Problem: "must be a whole number"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var into testOuter
			if diff := cmp.Diff(tt.want, Decode([]byte(tt.doc), "Items[1]", &into)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"ID":"a","GrantTypes":["password"],"xp":{"a":1}}`))
	f.Add([]byte(`{"ID":{},"ID":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c ApiClient
		if Decode(data, "", &c) == nil && !json.Valid(data) {
			t.Errorf("accepted %q, which is not JSON", data)
		}
		c.Validate("") // must not panic
	})
}

func TestDecodeKnown(t *testing.T) {
	t.Parallel()
	var got testOuter
	ignored, faults := DecodeKnown([]byte(`{"ID":"a","BuyerID":"b","Inner":[{"Count":1,"Depth":{"Count":2}}],"Nmae":1,"inner":[],"BuyerID":2}`), &got)
	want := Faults{
		{Path: "Nmae", Problem: "unknown member; did you mean Name?"},
		{Path: "inner", Problem: "unknown member; did you mean Inner?"},
		{Path: "BuyerID", Problem: "occurs twice"},
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"BuyerID", "Inner[0].Depth"}, ignored); diff != "" {
		t.Error(diff)
	}
	if got.ID != "a" || got.Inner[0].Count != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestVendorsMembersAreNotMisspellings tests that every member that OrderCloud's own tools send
// is accepted or ignored.
func TestVendorsMembersAreNotMisspellings(t *testing.T) {
	t.Parallel()
	for members, into := range map[string]any{
		`"BuyerID":"b","SupplierID":"s","CompanyID":"c","OwnerID":"o","Locale":{"ID":"l"},"LastActive":null`:                              &User{},
		`"BuyerID":"b","SupplierID":"s","SellerID":"x"`:                                                                                   &MeUser{},
		`"CatalogID":"c","OwnerID":"o","Type":"x","Url":null`:                                                                             &Buyer{},
		`"OwnerID":"o","DefaultCatalogID":"c"`:                                                                                            &Supplier{},
		`"OpenIDConnectID":"x","ConfigData":{},"OwnerID":"o","AnonymousTokenMinutes":1`:                                                   &ApiClient{},
		`"IsExternalRoleGroup":false,"OwnerID":"o"`:                                                                                       &SecurityProfile{},
		`"ConfigData":{},"OwnerID":"o","ApiClientIDs":[],"Enabled":true`:                                                                  &MessageSender{},
		`"AnonUserToken":"x","ProductID":"p","CustomImplementationUrl":"u","HashKey":"h","EventType":"e","ElevatedRole2":[],"Headers":[]`: &PasswordReset{},
	} {
		if _, faults := DecodeKnown([]byte("{"+members+"}"), into); faults != nil {
			t.Errorf("%T: got the faults %v, want none", into, faults)
		}
	}
}
