// Package strangers lets clients, gateways and SDKs that others wrote use a server. It
// needs npm, the module proxy of Go, and the build tag strangers.
package strangers
