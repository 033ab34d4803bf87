package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"latchkey/oauth/ordercloud/wire"
)

// clientCopy is a text for the developers of a client.
type clientCopy struct {
	Title string // name of a text
	ID    string // of the element
	Text  string
}

// clientCopies returns how the client is used by curl and from the environment, and as a
// document of "latchkey apply". raw is the client as /v1 shows it. A secret that the page
// shows is in them.
func (x *call) clientCopies(c wire.ApiClient, hasSecret bool, raw json.RawMessage) ([]clientCopy, error) {
	secret := x.notice.Secret
	if secret == "" && hasSecret {
		secret = "YOUR-SECRET"
	}
	document, err := applyDocument(raw)
	if err != nil {
		return nil, err
	}
	return []clientCopy{
		{"clients.asCurl", "as-curl", curlOf(x.console.cfg.Issuer, c, secret)},
		{"clients.asEnvironment", "as-environment", environmentOf(x.console.cfg.Issuer, c, secret)},
		{"clients.asDocument", "as-document", document},
	}, nil
}

// quoted returns the text as one word of a shell.
func quoted(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// curlOf returns commands that get a token.
func curlOf(issuer string, c wire.ApiClient, secret string) string {
	issuer = strings.TrimSuffix(issuer, "/")
	authenticate := "-d " + quoted("client_id="+c.ID)
	switch {
	case c.TokenEndpointAuthMethod != nil:
		authenticate = "-d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d client_assertion=YOUR-ASSERTION"
	case secret != "":
		authenticate = "-u " + quoted(c.ID+":"+secret)
	}
	call := "curl " + quoted(issuer+"/oauth/token") + " " + authenticate + " \\\n  "
	var commands []string
	if slices.Contains(c.GrantTypes, "authorization_code") && len(c.RedirectUris) > 0 {
		commands = append(commands, "# open in a browser: "+issuer+"/oauth/authorize, with PKCE (RFC 7636), then\n"+
			call+"-d grant_type=authorization_code -d code=CODE -d code_verifier=VERIFIER -d "+quoted("redirect_uri="+c.RedirectUris[0]))
	}
	if slices.Contains(c.GrantTypes, "password") {
		ask, _ := json.Marshal(map[string]string{"ClientID": c.ID, "Username": "USERNAME"}) // texts can be encoded
		if slices.Contains(c.AllowedCredentials, "otp") {
			commands = append(commands, "curl "+quoted(issuer+"/v1/password/onetimepassword")+" \\\n  -H 'Content-Type: application/json' -d "+quoted(string(ask)))
		}
		commands = append(commands, call+"-d grant_type=password -d username=USERNAME -d password=CODE")
	}
	if slices.Contains(c.GrantTypes, "client_credentials") {
		commands = append(commands, call+"-d grant_type=client_credentials")
	}
	if slices.Contains(c.GrantTypes, "refresh_token") {
		commands = append(commands, call+"-d grant_type=refresh_token -d refresh_token=TOKEN")
	}
	return strings.Join(commands, "\n\n")
}

// environmentOf returns variables as OAuth libraries and applications name them.
func environmentOf(issuer string, c wire.ApiClient, secret string) string {
	lines := []string{"OAUTH_ISSUER=" + quoted(issuer), "OAUTH_CLIENT_ID=" + quoted(c.ID)}
	if secret != "" {
		lines = append(lines, "OAUTH_CLIENT_SECRET="+quoted(secret))
	}
	if len(c.RedirectUris) > 0 {
		lines = append(lines, "OAUTH_REDIRECT_URI="+quoted(c.RedirectUris[0]))
	}
	return strings.Join(lines, "\n")
}

// applyDocument returns the client as a document of "latchkey apply", without members that
// are null or only shown.
func applyDocument(raw json.RawMessage) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	client, err := yamlOf(decoder)
	if err != nil {
		return "", err
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(client.Content); i += 2 {
		name, value := client.Content[i], client.Content[i+1]
		if value.Tag == "!!null" || strings.HasPrefix(name.Value, "Assigned") {
			continue
		}
		kept = append(kept, name, value)
	}
	client.Content = kept
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	list := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{client}}
	err = encoder.Encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "ApiClients"}, list}})
	return text.String(), err
}

// yamlOf reads a value of JSON as YAML. A parser of YAML refuses some of them: JSON may have
// control characters and long names.
func yamlOf(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if t == '[' {
			n.Kind = yaml.SequenceNode
		}
		for d.More() { // the name of a member is a value too
			value, err := yamlOf(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, value)
		}
		_, err = d.Token() // its end
		return n, err
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(token)}, nil
}
