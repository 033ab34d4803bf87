package ordercloud

import "slices"

// allRoutes returns the operations of the dialect, resource by resource.
func (a *API) allRoutes() []route {
	return slices.Concat(
		apiClients{API: a}.routes(), apiClientAssignments{a}.routes(), apiClientSecrets{a}.routes(),
		securityProfiles{API: a}.routes(), securityProfileAssignments{a}.routes(),
		messageSenders{API: a}.routes(), messageSenderAssignments{a}.routes(), deliveryConfigs{API: a}.routes(),
		signingKeys{a}.routes(), auditEvents{a}.routes(), oneTimePasswordRequests{a}.routes(),
		a.buyerRoutes(), a.supplierRoutes(), a.userRoutes(), me{a}.routes(), forgottenCredentials{a}.routes(),
		unsupportedLists{a}.routes(),
	)
}
