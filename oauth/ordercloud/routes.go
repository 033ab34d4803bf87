package ordercloud

// allRoutes are the operations of the dialect, resource by resource.
func (a *API) allRoutes() []route {
	var all []route
	for _, of := range [][]route{
		a.clientRoutes(), a.secretRoutes(), a.securityProfileRoutes(), a.senderRoutes(), a.deliveryConfigRoutes(),
		a.keyRoutes(), a.auditRoutes(), a.requestRoutes(),
		a.buyerRoutes(), a.supplierRoutes(), a.userRoutes(), a.allBuyersUsersRoutes(), a.meRoutes(), a.credentialRoutes(),
		a.emptyListRoutes(),
	} {
		all = append(all, of...)
	}
	return all
}
