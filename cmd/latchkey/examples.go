package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are the command lines that the help of a command shows, by the command.
// Commands with examples of their own are not here.
var examples = map[string]string{
	"audit export":         "audit export --since 24h --action sign_in",
	"audit head":           "audit head",
	"audit restart":        "audit restart",
	"audit verify":         "audit verify --expect 4711:pX0ULgA",
	"client create":        "client create --name nightly --grant client_credentials --role OrderReader",
	"client list":          "client list --output json",
	"client secret add":    "client secret add nightly --name second",
	"client secret delete": "client secret delete nightly sec_01h2x",
	"config check":         "config check",
	"config reference":     "config reference",
	"demo":                 "demo",
	"healthcheck":          "healthcheck --live",
	"keys list":            "keys list",
	"keys revoke":          "keys revoke QeJvjledu7tY --plan",
	"keys rewrap":          "keys rewrap --dry-run",
	"keys rotate":          "keys rotate --alg EdDSA",
	"message list":         "message list",
	"message retry":        "message retry msg_01h2x",
	"message show":         "message show msg_01h2x",
	"migrate status":       "migrate status",
	"migrate up":           "migrate up",
	"policy explain":       "policy explain --replicas 3",
	"policy replay":        "policy replay --since 30d --policy policy.yaml",
	"sender list":          "sender list",
	"sender test":          "sender test terminal --to jane@example.com",
	"serve":                "serve --config latchkey.yaml",
	"session end":          "session end ses_01h2x",
	"session list":         "session list jane",
	"user unlock":          "user unlock jane",
	"version":              "version --output json",
}

// addExamples completes the commands below cmd.
func addExamples(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		addExamples(sub)
		if line, ok := examples[strings.TrimPrefix(sub.CommandPath(), "latchkey ")]; ok && sub.Example == "" {
			sub.Example = "  latchkey " + line
		}
	}
}
