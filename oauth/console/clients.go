package console

import (
	"latchkey/oauth/ordercloud/wire"
)

// clientScreens are the API clients.
func (c *Console) clientScreens() []screen {
	return []screen{
		{path: "/clients", operation: "apiclients.List", nav: "clients.title", serve: (*call).showClients},
		{path: "/clients/{id}", operation: "apiclients.Get", serve: (*call).showClient},
		{path: "/clients/{id}/edit", operation: "apiclients.Patch", posts: true, serve: (*call).editClient},
	}
}

// showClients lists the clients.
func (x *call) showClients() error {
	found, err := readList[wire.ApiClient](x, pathOf("apiclients"))
	if err != nil {
		return err
	}
	return x.show("clients", "clients.title", found)
}

// showClient shows a client.
func (x *call) showClient() error {
	var client wire.ApiClient
	if _, err := x.get(pathOf("apiclients", x.PathValue("id")), nil, &client); err != nil {
		return err
	}
	return x.show("client", "clients.one", client)
}

// editClient changes a client.
func (x *call) editClient() error {
	id := x.PathValue("id")
	return x.change(change{
		Title: "clients.edit", Button: "clients.save", Method: "PATCH", Path: pathOf("apiclients", id), Read: pathOf("apiclients", id),
		Object: "ApiClient/" + id, Back: "/clients/" + id,
		Form: &form{Name: "client", Fields: []field{
			{Name: "AppName", Kind: textField, Required: true},
			{Name: "Active", Kind: checkField},
			{Name: "RedirectUris", Kind: linesField, Group: "clients.addresses"},
			{Name: "AccessTokenDuration", Kind: numberField, Min: 10, Max: 600, Group: "clients.lifetimes"},
		}},
	})
}
