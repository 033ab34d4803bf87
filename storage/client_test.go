package storage_test

import (
	"testing"

	"latchkey/storage"
)

func TestClientAdmits(t *testing.T) {
	t.Parallel()
	buyer := storage.User{Kind: storage.Buyer, AccountUID: "acc_1"}
	supplier := storage.User{Kind: storage.Supplier, AccountUID: "acc_2"}
	admin := storage.User{Kind: storage.Admin}
	tests := []struct {
		name                   string
		client                 storage.Client
		buyer, supplier, admin bool
	}{
		{"nobody", storage.Client{}, false, false, false},
		{"any buyer", storage.Client{AllowAnyBuyer: true}, true, false, false},
		{"any supplier", storage.Client{AllowAnySupplier: true}, false, true, false},
		{"seller", storage.Client{AllowSeller: true}, false, false, true},
		{"assigned buyer", storage.Client{AccountUIDs: []string{"acc_0", "acc_1"}}, true, false, false},
		{"assigned supplier", storage.Client{AccountUIDs: []string{"acc_2"}}, false, true, false},
		{"assigned to no account", storage.Client{AccountUIDs: []string{""}}, false, false, false},
	}
	for _, test := range tests {
		for _, who := range []struct {
			user storage.User
			want bool
		}{{buyer, test.buyer}, {supplier, test.supplier}, {admin, test.admin}, {storage.User{Kind: "ghost"}, false}} {
			if got := test.client.Admits(who.user); got != who.want {
				t.Errorf("%s admits %s: got %v, want %v", test.name, who.user.Kind, got, who.want)
			}
		}
	}
}
