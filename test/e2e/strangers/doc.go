// Package strangers uses a server with clients, gateways and SDKs that others wrote. It needs
// npm, the module proxy of Go, and the build tag strangers.
package strangers
