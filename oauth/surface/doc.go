// Package surface holds what the surfaces of the API share: the OAuth endpoints
// and the dialects of vendors.
//
// HTTPRules is how a surface tells the HTTP server about its paths, so that the
// server knows no vendor.
package surface
