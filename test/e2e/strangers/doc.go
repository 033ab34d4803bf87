// Package strangers lets clients, gateways and SDKs that others wrote use a server. It
// needs npm and the build tag strangers.
package strangers
