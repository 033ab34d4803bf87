package storage

import "testing"

func TestCredentialsAllow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		client Credentials
		amr    []string
		want   bool
	}{
		{Credentials{OTP: true}, []string{"otp"}, true},
		{Credentials{OTP: true}, []string{"pwd"}, false},
		{Credentials{Password: true}, []string{"otp"}, false},
		{Credentials{Password: true}, []string{"pwd"}, true},
		{Credentials{OTP: true, Password: true}, []string{"pwd"}, true},
		{Credentials{OTP: true}, []string{"otp", "pwd"}, false},
		{Credentials{}, []string{"otp"}, false},
		{Credentials{}, nil, true},
		{Credentials{OTP: true, Password: true}, []string{"hwk"}, false},
	} {
		if got := test.client.Allow(test.amr); got != test.want {
			t.Errorf("%+v, %v: got %v, want %v", test.client, test.amr, got, test.want)
		}
	}
}
