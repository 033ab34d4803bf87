// Package accounts tests how members of accounts sign in through Elastic Path's dialect (/v2)
// and through the account-member grant: codes, account tokens, profiles, integrations, and
// credentials.
package accounts
