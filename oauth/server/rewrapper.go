package server

import (
	"latchkey/keys"
	"latchkey/oauth"
	elasticpathwire "latchkey/oauth/elasticpath/wire"
	ordercloudwire "latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/server/rewrap"
	"latchkey/otp"
)

// Rewrapper returns the rewrap.Rewrapper that seals the stored secrets again under the
// current master key.
func (a *App) Rewrapper() *rewrap.Rewrapper {
	return &rewrap.Rewrapper{Store: a.Store, Sealer: a.Sealer, Contexts: sealContexts()}
}

func sealContexts() []rewrap.Contexts {
	return []rewrap.Contexts{keys.SealContexts, otp.SealContexts, oauth.SealContexts, ordercloudwire.SealContexts, elasticpathwire.SealContexts}
}
