package otp_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"latchkey/otp"
	"latchkey/storage"
)

func TestPayloadBelongsToItsMessage(t *testing.T) {
	t.Parallel()
	v := newTestSealer(t)
	sealed, err := otp.Payload{Username: "bob", Code: "ABC"}.Seal(v, "msg_1")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := otp.OpenPayload(v, storage.Message{ID: "msg_1", Payload: sealed}); err != nil || p.Code != "ABC" {
		t.Errorf("OpenPayload: got %+v, error %v", p, err)
	}
	if p, err := otp.OpenPayload(v, storage.Message{ID: "msg_2", Payload: sealed}); err == nil {
		t.Errorf("the payload of another message: got %+v, want an error", p)
	}
	garbage, err := v.Seal([]byte("ABC no JSON"), "message:msg_1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := otp.OpenPayload(v, storage.Message{ID: "msg_1", Payload: garbage}); err == nil || strings.Contains(err.Error(), "ABC") {
		t.Errorf("garbage: got %v, want an error without the code", err)
	}
	if _, err := (otp.Payload{}).Seal(brokenSealer{}, "msg_1"); !errors.Is(err, context.Canceled) {
		t.Errorf("broken sealer: got %v, want context.Canceled", err)
	}
}

type brokenSealer struct{}

func (brokenSealer) Seal([]byte, string) (storage.Sealed, error) {
	return storage.Sealed{}, context.Canceled
}
