package wire

import "strings"

// standardRoles are the roles that OrderCloud defines. Other roles are custom. The
// difference is only in which member the wire shows a role.
const standardRoles = " AddressAdmin AddressReader AdminAddressAdmin AdminAddressReader AdminUserAdmin" +
	" AdminUserGroupAdmin AdminUserGroupReader AdminUserReader ApiClientAdmin ApiClientReader" +
	" ApprovalRuleAdmin ApprovalRuleReader BundleAdmin BundleAssignmentAdmin BundleReader BuyerAdmin" +
	" BuyerImpersonation BuyerReader BuyerUserAdmin BuyerUserReader CatalogAdmin CatalogReader" +
	" CategoryAdmin CategoryReader CostCenterAdmin CostCenterReader CreditCardAdmin CreditCardReader" +
	" DeliveryConfigAdmin EntitySyncConfigAdmin ErrorConfigAdmin FullAccess IncrementorAdmin" +
	" IncrementorReader IntegrationEventAdmin IntegrationEventReader LocaleAdmin LocaleReader" +
	" MeAddressAdmin MeAdmin MeCreditCardAdmin MeSubscriptionAdmin MeXpAdmin MessageConfigAssignmentAdmin" +
	" MessageSenderAdmin MessageSenderReader OpenIDConnectAdmin OpenIDConnectReader OrderAdmin OrderReader" +
	" OrderSyncConfigAdmin OverrideShipping OverrideTax OverrideUnitPrice PasswordReset" +
	" PriceScheduleAdmin PriceScheduleReader ProductAdmin ProductAssignmentAdmin ProductCollectionReader" +
	" ProductFacetAdmin ProductFacetReader ProductReader ProductSyncConfigAdmin PromotionAdmin" +
	" PromotionReader SecurityProfileAdmin SecurityProfileReader SetSecurityProfile ShipmentAdmin" +
	" ShipmentReader Shopper SpendingAccountAdmin SpendingAccountReader SubscriptionAdmin" +
	" SubscriptionReader SupplierAddressAdmin SupplierAddressReader SupplierAdmin SupplierReader" +
	" SupplierUserAdmin SupplierUserGroupAdmin SupplierUserGroupReader SupplierUserReader" +
	" TrackingEventAdmin TrackingEventReader UnsubmittedOrderReader UserGroupAdmin UserGroupReader" +
	" WebhookAdmin WebhookReader XpIndexAdmin "

// splitRoles separates OrderCloud's own roles from custom ones.
func splitRoles(roles []string) (standard, custom []string) {
	standard, custom = []string{}, []string{}
	for _, role := range roles {
		if strings.Contains(standardRoles, " "+role+" ") {
			standard = append(standard, role)
		} else {
			custom = append(custom, role)
		}
	}
	return standard, custom
}
