package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// escalation is a change that needs FullAccess, by any operation.
type escalation struct {
	operation string // name in the OpenAPI document
	path      string // path with parameters
	body      string
	refusal   int  // default 403
	unknown   bool // refused even with FullAccess: admin users do not exist below /v2, and the sender has no former secret
}

// grantsNothing are the writing operations that cannot give a caller the roles of others, with
// the reason. A new operation needs attempts or a reason.
func grantsNothing() map[string]string {
	reasons := map[string]string{}
	for reason, operations := range map[string]string{
		"the seller side manages companies and their users, whose roles are worth nothing outside of their company": `
			buyers.Create buyers.Save buyers.Patch buyers.Delete suppliers.Create suppliers.Save suppliers.Patch suppliers.Delete
			buyers.users.Create buyers.users.Save buyers.users.Patch buyers.users.Delete buyers.users.Unlock buyers.users.RevokeTokens
			buyers.users.EndSession buyers.users.EndSessions suppliers.users.EndSession suppliers.users.EndSessions
			buyers.users.EndConsent suppliers.users.EndConsent buyers.users.SendOneTimePassword suppliers.users.SendOneTimePassword
			buyers.users.SendInvitation suppliers.users.SendInvitation
			suppliers.users.Create suppliers.users.Save suppliers.users.Patch suppliers.users.Delete suppliers.users.Unlock suppliers.users.RevokeTokens
			Accounts.Create Accounts.Update Accounts.Delete UserAuthenticationInfo.Create`,
		"account members only, whom the seller side manages":  "AccountAuthenticationSettings.Update AccountMembershipSettings.Update AccountMembers.Update",
		"no sender uses a new delivery config":                "integrations.deliveryconfig.Create",
		"nobody has a login in a new password profile":        "PasswordProfiles.Create",
		"integrations get the messages of buyers' users only": "Integrations.Create Integrations.Update Integrations.Delete",
		"users change themselves":                             "me.Save me.Patch me.ResetPassword me.RevokeTokens me.EndSession me.EndOtherSessions",
		"a sign-in or a request for a code, not a change":     "PasswordProfiles.RequestOneTimePasswordToken AccountMembers.CreateTokens",
		"it concerns everybody alike and reveals nothing":     "signingkeys.Rotate signingkeys.Revoke",
		"the message goes where it went": `
			onetimepasswordrequests.messages.Retry buyers.onetimepasswordrequests.messages.Retry suppliers.onetimepasswordrequests.messages.Retry`,
		"it reads, and changes nothing": "passwordprofiles.Explain passwordprofiles.replays.Create auditchain.verifications.Create",
		"it is refused for everybody":   "messagesenders.CCListenerAssignments.Save",
	} {
		for _, id := range strings.Fields(operations) {
			reasons[id] = reason
		}
	}
	return reasons
}

// fullAccessRecords is a database with records of every type that need FullAccess, and the IDs
// that the server assigned.
type fullAccessRecords struct {
	*kit.OrderCloud
	secretOf                         map[string]string // ID of a secret by the ID of its client
	staffProfile, bossUID, bossLogin string
	account, membership, annexed     string
}

const plantedSecret = "planted-secret-planted-secret-planted"

func newGuarded(t *testing.T, m *kit.OrderCloud) *fullAccessRecords {
	t.Helper()
	m.CheckDocument(t)
	g := &fullAccessRecords{OrderCloud: m, secretOf: map[string]string{}}
	g.staffProfile, _ = at(t, m.Do(t, 201, "POST", kit.RealmPath+"/password-profiles", `{"data":{"type":"password_profile","name":"Staff"}}`), "data", "id").(string)
	for _, made := range [][2]string{
		{"/v1/buyers", `{"ID":"acme","Name":"Acme"}`},
		{"/v1/buyers", `{"ID":"annex","Name":"Annex"}`},
		{"/v1/buyers", `{"ID":"outlet","Name":"Outlet"}`},
		{"/v1/suppliers", `{"ID":"depot","Name":"Depot"}`},
		{"/v1/buyers/acme/users", `{"ID":"ann","Username":"ann","Email":"ann@example.com"}`},
		{"/v1/adminusers", `{"ID":"boss","Username":"boss","Email":"boss@example.com"}`},
		{"/v1/adminusers", `{"ID":"chief","Username":"chief","PasswordProfileID":"` + g.staffProfile + `"}`},
		{"/v1/adminusers", `{"ID":"leaver","Username":"leaver"}`},
		{"/v1/securityprofiles", `{"ID":"all","Name":"All","Roles":["FullAccess"]}`},
		{"/v1/securityprofiles", `{"ID":"every-admin","Name":"Every admin","CustomRoles":["Vault"]}`},
		{"/v1/securityprofiles", `{"ID":"strict","Name":"Strict","PasswordConfig":{"AllowedFailedAttempts":5}}`},
		{"/v1/securityprofiles", `{"ID":"strict-boss","Name":"Strict","PasswordConfig":{"AllowedFailedAttempts":5}}`},
		{"/v1/securityprofiles", `{"ID":"loose","Name":"Loose","PasswordConfig":{"AllowedFailedAttempts":1,"LockoutDuration":0}}`},
		{"/v1/apiclients", `{"ID":"as-boss","AppName":"As boss","DefaultContextUserName":"boss","ClientSecret":"` + kit.ClientSecret + `"}`},
		{"/v1/apiclients", `{"ID":"as-nobody","AppName":"As nobody","DefaultContextUserName":"leaver"}`},
		{"/v1/apiclients", `{"ID":"desk","AppName":"Desk","AllowSeller":true,"ClientSecret":"` + kit.ClientSecret + `"}`},
		{"/v1/apiclients", `{"ID":"floor","AppName":"Floor","AllowSeller":true,"MinimumRequiredRoles":["FullAccess"],"MaximumGrantedRoles":["ApiClientAdmin"]}`},
		{"/v1/apiclients", `{"ID":"api","AppName":"API","GrantTypes":[],"Resources":["https://api.example.com"]}`},
		{"/v1/integrations/deliveryconfig", `{"ID":"hook","Name":"Hook","DeliveryTargets":{"MessageSender":{"Endpoint":"` + m.SenderInbox.URL + `","Secret":"k"}}}`},
		{"/v1/messagesenders", `{"ID":"staff","Name":"Staff","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"hook"}`},
		{"/v1/messagesenders", `{"ID":"raising","Name":"Raising","MessageTypes":["OneTimePassword"],"URL":"` + m.SenderInbox.URL + `","SharedKey":"k","ElevatedRoles":["FullAccess"]}`},
		{"/v1/messagesenders", `{"ID":"plain","Name":"Plain","MessageTypes":["OneTimePassword"],"URL":"` + m.SenderInbox.URL + `","SharedKey":"k"}`},
	} {
		m.Do(t, 201, "POST", made[0], made[1])
	}
	for _, assigned := range [][2]string{
		{"/v1/securityprofiles", `{"SecurityProfileID":"all","UserID":"boss"}`},
		{"/v1/securityprofiles", `{"SecurityProfileID":"all","UserID":"chief"}`},
		{"/v1/securityprofiles", `{"SecurityProfileID":"all","BuyerID":"acme"}`},
		{"/v1/securityprofiles", `{"SecurityProfileID":"every-admin"}`},
		{"/v1/securityprofiles", `{"SecurityProfileID":"strict"}`},
		{"/v1/securityprofiles", `{"SecurityProfileID":"strict-boss","UserID":"boss"}`},
		{"/v1/messagesenders", `{"MessageSenderID":"staff"}`},
		{"/v1/messagesenders", `{"MessageSenderID":"staff","BuyerID":"acme"}`},
		{"/v1/messagesenders", `{"MessageSenderID":"raising","BuyerID":"acme"}`},
		{"/v1/apiclients", `{"ApiClientID":"desk","BuyerID":"acme"}`},
		{"/v1/apiclients", `{"ApiClientID":"desk","SupplierID":"depot"}`},
	} {
		m.Do(t, 204, "POST", assigned[0]+"/assignments", assigned[1])
	}
	m.Do(t, 204, "DELETE", "/v1/adminusers/leaver", nil)
	m.Do(t, 200, "PUT", kit.RealmPath, `{"data":{"type":"authentication-realm","redirect_uris":["https://shop.example.com"]}}`)
	worker(m, t, "full", "FullAccess")
	for _, id := range []string{"as-boss", "desk"} {
		g.secretOf[id], _ = at(t, m.Do(t, 200, "GET", "/v1/apiclients/"+id+"/secrets", nil), "Items", "0", "ID").(string)
	}
	g.makeMember(t)
	return g
}

// makeMember creates a user with FullAccess in one account.
func (g *fullAccessRecords) makeMember(t *testing.T) {
	t.Helper()
	ann, _ := at(t, g.Do(t, 200, "GET", "/v2/account-members?filter=eq(email,ann@example.com)", nil), "data", "0", "id").(string)
	g.account, _ = at(t, g.Do(t, 201, "POST", "/v2/accounts", `{"data":{"type":"account","name":"Club","legal_name":"Club"}}`), "data", "id").(string)
	g.membership, _ = at(t, g.Do(t, 201, "POST", "/v2/accounts/"+g.account+"/account-memberships",
		`{"data":{"type":"account_membership","account_member_id":"`+ann+`","roles":["FullAccess"]}}`), "data", "id").(string)
	g.annexed = g.Do(t, 201, "POST", "/v1/buyers/acme/users/ann/memberships", `{"CompanyID":"annex","Roles":["FullAccess"]}`).Field("ID")
	g.WithApp(func(ctx context.Context, a *server.App) error {
		boss, err := a.Store.User(ctx, storage.DefaultRealmID, storage.Admin, "", "boss")
		if err != nil {
			return err
		}
		logins, err := a.Store.LoginsOfUser(ctx, boss.UID)
		if err == nil {
			g.bossUID, g.bossLogin = boss.UID, logins[0].ID
		}
		return err
	})
}

// attempts are changes of all records that need FullAccess, in an order in which a caller with
// FullAccess can make all of them.
func (g *fullAccessRecords) attempts() []escalation {
	return slices.Concat(g.clientAttempts(), g.profileAttempts(), g.senderAttempts(), g.userAttempts(), g.membershipAttempts(), g.v2Attempts())
}

func (g *fullAccessRecords) clientAttempts() []escalation {
	const path = "/v1/apiclients"
	secret := func(client string) string { return path + "/" + client + "/secrets/" + g.secretOf[client] }
	return []escalation{
		{operation: "apiclients.secrets.Create", path: path + "/as-boss/secrets", body: `{"Name":"planted"}`},
		{operation: "apiclients.secrets.Create", path: path + "/desk/secrets", body: `{}`},
		{operation: "apiclients.secrets.Create", path: path + "/full/secrets", body: `{}`},
		{operation: "apiclients.secrets.Patch", path: secret("as-boss"), body: `{"Expiration":"2098-01-01T00:00:00Z"}`},
		{operation: "apiclients.secrets.Patch", path: secret("desk"), body: `{"Name":"other"}`},
		{operation: "apiclients.secrets.Delete", path: secret("as-boss"), refusal: 403},
		{operation: "apiclients.secrets.Delete", path: secret("desk")},
		{operation: "apiclients.Create", path: path, body: `{"ID":"n1","AppName":"n","DefaultContextUserName":"boss","ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.Create", path: path, body: `{"ID":"n2","AppName":"n","AllowSeller":true}`},
		{operation: "apiclients.Create", path: path, body: `{"ID":"n3","AppName":"n","AllowSeller":true,"MaximumGrantedCustomRoles":["Vault"]}`},
		{operation: "apiclients.Save", path: path + "/n4", body: `{"AppName":"n","AllowSeller":true}`},
		{operation: "apiclients.Save", path: path + "/desk", body: `{"AppName":"Desk","AllowSeller":true,"MaximumGrantedRoles":["ApiClientAdmin"]}`},
		{operation: "apiclients.Patch", path: path + "/as-boss", body: `{"AppName":"renamed"}`},
		{operation: "apiclients.Patch", path: path + "/as-boss", body: `{"ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.Patch", path: path + "/as-boss", body: `{"Active":false}`},
		{operation: "apiclients.Patch", path: path + "/as-boss", body: `{"DefaultContextUserName":null,"ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.Patch", path: path + "/as-boss", body: `{"DefaultContextUserName":"boss"}`},
		{operation: "apiclients.Patch", path: path + "/as-nobody", body: `{"AppName":"renamed"}`},
		{operation: "apiclients.Patch", path: path + "/as-nobody", body: `{"ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.Patch", path: path + "/desk", body: `{"MaximumGrantedRoles":[],"TrustEndUserAddress":true,"RedirectUris":[],"PostLogoutRedirectUris":[],"BackchannelLogoutUri":null,"ThirdParty":false,"IDTokenSigningAlg":null,"RequirePushedAuthorizationRequests":false}`},
		{operation: "apiclients.Patch", path: path + "/desk", body: `{"AllowedCredentials":["otp"]}`},
		{operation: "apiclients.Patch", path: path + "/desk", body: `{"AllowSeller":false,"ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.Patch", path: path + "/desk", body: `{"AllowSeller":true}`},
		{operation: "apiclients.Patch", path: path + "/floor", body: `{"MinimumRequiredRoles":[]}`},
		{operation: "apiclients.Patch", path: path + "/floor", body: `{"MinimumRequiredRoles":["FullAccess"]}`},
		{operation: "apiclients.Patch", path: path + "/api", body: `{"Resources":["https://api.example.com","https://more.example.com"]}`},
		{operation: "apiclients.Patch", path: path + "/full", body: `{"AppName":"Mine","ClientSecret":"` + plantedSecret + `"}`},
		{operation: "apiclients.assignments.Save", path: path + "/assignments", body: `{"ApiClientID":"desk","BuyerID":"acme"}`},
		{operation: "apiclients.assignments.Save", path: path + "/assignments", body: `{"ApiClientID":"full","SupplierID":"depot"}`},
		{operation: "apiclients.assignments.DeleteBuyer", path: "/v1/buyers/acme/ApiClients/Assignments/desk"},
		{operation: "apiclients.assignments.DeleteSupplier", path: "/v1/suppliers/depot/apiclients/assignments/desk"},
		{operation: "apiclients.Delete", path: path + "/as-boss"},
		{operation: "apiclients.Delete", path: path + "/as-nobody"},
		{operation: "apiclients.Delete", path: path + "/desk"},
		{operation: "apiclients.Delete", path: path + "/floor"},
		{operation: "apiclients.Delete", path: path + "/api"},
		{operation: "apiclients.Delete", path: path + "/full"},
	}
}

func (g *fullAccessRecords) profileAttempts() []escalation {
	const path = "/v1/securityprofiles"
	return []escalation{
		{operation: "securityprofiles.Create", path: path, body: `{"ID":"n1","Name":"n","Roles":["FullAccess"]}`},
		{operation: "securityprofiles.Save", path: path + "/n2", body: `{"Name":"n","CustomRoles":["Vault"]}`},
		{operation: "securityprofiles.Save", path: path + "/strict", body: `{"Name":"n"}`},
		{operation: "securityprofiles.Patch", path: path + "/strict", body: `{"PasswordConfig":{"AllowedFailedAttempts":1}}`},
		{operation: "securityprofiles.Patch", path: path + "/strict-boss", body: `{"PasswordConfig":{"LockoutDuration":0}}`},
		{operation: "securityprofiles.Patch", path: path + "/strict-boss", body: `{"Name":"renamed"}`},
		{operation: "securityprofiles.Patch", path: path + "/every-admin", body: `{"CustomRoles":[]}`},
		{operation: "securityprofiles.Patch", path: path + "/every-admin", body: `{"CustomRoles":["Vault"],"PasswordConfig":{"MinimumCharacterCount":99}}`},
		{operation: "securityprofiles.Patch", path: path + "/loose", body: `{"Roles":["FullAccess"]}`},
		{operation: "securityprofiles.Patch", path: path + "/loose", body: `{"Roles":[]}`, refusal: 200},
		{operation: "securityprofiles.assignments.Save", path: path + "/assignments", body: `{"SecurityProfileID":"loose"}`},
		{operation: "securityprofiles.assignments.Save", path: path + "/assignments", body: `{"SecurityProfileID":"loose","UserID":"boss"}`},
		{operation: "securityprofiles.assignments.Save", path: path + "/assignments", body: `{"SecurityProfileID":"all"}`},
		{operation: "securityprofiles.assignments.Save", path: path + "/assignments", body: `{"SecurityProfileID":"all","SupplierID":"depot"}`},
		{operation: "securityprofiles.assignments.Delete", path: path + "/all/assignments?userID=boss"},
		{operation: "securityprofiles.assignments.Save", path: path + "/assignments", body: `{"SecurityProfileID":"all","UserID":"boss"}`},
		{operation: "securityprofiles.assignments.Delete", path: path + "/all/assignments?buyerID=acme"},
		{operation: "securityprofiles.assignments.Delete", path: path + "/strict-boss/assignments?userID=boss"},
		{operation: "securityprofiles.Delete", path: path + "/strict"},
		{operation: "securityprofiles.Delete", path: path + "/every-admin"},
	}
}

func (g *fullAccessRecords) senderAttempts() []escalation {
	const path, configs = "/v1/messagesenders", "/v1/integrations/deliveryconfig"
	webhook := `"MessageTypes":["OneTimePassword"],"URL":"https://mine.example.com","SharedKey":"k"`
	return []escalation{
		{operation: "messagesenders.Create", path: path, body: `{"ID":"n1","Name":"n",` + webhook + `,"ElevatedRoles":["FullAccess"]}`},
		{operation: "messagesenders.Save", path: path + "/n2", body: `{"Name":"n",` + webhook + `,"ElevatedRoles":["Vault"]}`},
		{operation: "messagesenders.Save", path: path + "/raising", body: `{"Name":"n",` + webhook + `}`},
		{operation: "messagesenders.Save", path: path + "/raising", body: `{"Name":"n",` + webhook + `,"ElevatedRoles":["FullAccess"]}`},
		{operation: "messagesenders.Patch", path: path + "/raising", body: `{"ElevatedRoles":[],"URL":"https://mine.example.com"}`},
		{operation: "messagesenders.Patch", path: path + "/raising", body: `{"ElevatedRoles":["FullAccess"]}`},
		{operation: "messagesenders.Patch", path: path + "/staff", body: `{"DeliveryConfigID":null,"URL":"https://mine.example.com","SharedKey":"k"}`},
		{operation: "messagesenders.Patch", path: path + "/staff", body: `{"DeliveryConfigID":"hook"}`},
		{operation: "messagesenders.Patch", path: path + "/staff", body: `{"Active":false}`},
		{operation: "messagesenders.assignments.Save", path: path + "/assignments", body: `{"MessageSenderID":"plain"}`},
		{operation: "messagesenders.assignments.Save", path: path + "/assignments", body: `{"MessageSenderID":"raising","SupplierID":"depot"}`},
		{operation: "messagesenders.assignments.Save", path: path + "/assignments", body: `{"MessageSenderID":"staff","SupplierID":"depot"}`},
		{operation: "messagesenders.assignments.Delete", path: path + "/staff/assignments?buyerID=acme"},
		{operation: "messagesenders.assignments.Delete", path: path + "/raising/assignments?buyerID=acme"},
		{operation: "integrations.deliveryconfig.Patch", path: configs + "/hook", body: `{"DeliveryTargets":{"MessageSender":{"Endpoint":"https://mine.example.com"}}}`},
		{operation: "integrations.deliveryconfig.Patch", path: configs + "/hook", body: `{"DeliveryTargets":{"MessageSender":{"Secret":"other"}}}`},
		{operation: "integrations.deliveryconfig.Patch", path: configs + "/hook", body: `{"Enabled":false}`},
		{operation: "integrations.deliveryconfig.Save", path: configs + "/hook", body: `{"Name":"n","DeliveryTargets":{"MessageSender":{"Endpoint":"https://mine.example.com","Secret":"k"}}}`},
		{operation: "messagesenders.assignments.Delete", path: path + "/staff/assignments"},
		{operation: "messagesenders.assignments.Save", path: path + "/assignments", body: `{"MessageSenderID":"staff"}`},
		{operation: "messagesenders.Test", path: path + "/raising/test", body: `{"To":"me@example.com"}`},
		{operation: "messagesenders.secret.Rotate", path: path + "/raising/secret/rotate"},
		{operation: "messagesenders.secret.Retire", path: path + "/raising/secret/retire", unknown: true},
		{operation: "messagesenders.Delete", path: path + "/raising"},
		{operation: "messagesenders.Patch", path: path + "/plain", body: `{"ElevatedRoles":["FullAccess"]}`},
		{operation: "messagesenders.Patch", path: path + "/staff", body: `{"DeliveryConfigID":null,"URL":"https://mine.example.com","SharedKey":"k"}`},
		{operation: "integrations.deliveryconfig.Delete", path: configs + "/hook"},
		{operation: "messagesenders.Delete", path: path + "/staff"},
	}
}

func (g *fullAccessRecords) userAttempts() []escalation {
	const path = "/v1/adminusers"
	return []escalation{
		{operation: "adminusers.Create", path: path, body: `{"ID":"n1","Username":"n1"}`}, // every admin user gets the role Vault
		{operation: "adminusers.Save", path: path + "/n2", body: `{"Username":"n2"}`},
		{operation: "adminusers.Patch", path: path + "/boss", body: `{"Email":"mine@example.com"}`},
		{operation: "adminusers.Patch", path: path + "/boss", body: `{"Username":"boss2"}`},
		{operation: "adminusers.Patch", path: path + "/boss", body: `{"Password":"Taken-Over-Now-1"}`},
		{operation: "adminusers.Patch", path: path + "/boss", body: `{"Phone":"+41"}`},
		{operation: "adminusers.Save", path: path + "/boss", body: `{"Username":"boss","Active":false}`},
		{operation: "adminusers.Unlock", path: path + "/boss/unlock"},
		{operation: "adminusers.RevokeTokens", path: path + "/boss/tokens"},
		{operation: "adminusers.EndSessions", path: path + "/boss/sessions/endall"},
		{operation: "adminusers.EndSession", path: path + "/boss/sessions/none", unknown: true},
		{operation: "adminusers.EndConsent", path: path + "/boss/consents/none", unknown: true},
		{operation: "adminusers.SendOneTimePassword", path: path + "/boss/onetimepassword", body: `{"ClientID":"desk"}`, unknown: true}, // no sender is left
		{operation: "adminusers.SendInvitation", path: path + "/boss/invitation", unknown: true},
		{operation: "adminusers.Delete", path: path + "/chief", refusal: 403},
	}
}

func (g *fullAccessRecords) membershipAttempts() []escalation {
	const path = "/v1/buyers/acme/users/ann/memberships"
	return []escalation{
		{operation: "buyers.users.memberships.Create", path: path, body: `{"CompanyID":"outlet","Roles":["FullAccess"]}`},
		{operation: "buyers.users.memberships.Patch", path: path + "/" + g.annexed, body: `{"Roles":["BuyerAdmin"]}`},
		{operation: "buyers.users.memberships.Patch", path: path + "/" + g.annexed, body: `{"Roles":["FullAccess","BuyerAdmin"]}`},
		{operation: "buyers.users.memberships.Save", path: path + "/" + g.annexed, body: `{"Roles":[]}`},
		{operation: "buyers.users.memberships.Save", path: path + "/" + g.annexed, body: `{"Roles":["Vault"]}`},
		{operation: "buyers.users.memberships.Delete", path: path + "/" + g.annexed},
	}
}

func (g *fullAccessRecords) v2Attempts() []escalation {
	const profile = `{"data":{"type":"password_profile",`
	user := kit.RealmPath + "/user-authentication-info/" + g.bossUID
	login := user + "/user-authentication-password-profile-info/" + g.bossLogin
	memberships := "/v2/accounts/" + g.account + "/account-memberships"
	return []escalation{
		{operation: "PasswordProfiles.Update", path: kit.RealmPath + "/password-profiles/default", body: profile + `"lockout_threshold":9,"lockout_duration_seconds":7200}}`},
		{operation: "PasswordProfiles.Update", path: kit.RealmPath + "/password-profiles/default", body: profile + `"lockout_threshold":1,"lockout_duration_seconds":0}}`},
		{operation: "PasswordProfiles.Update", path: kit.RealmPath + "/password-profiles/default", body: profile + `"name":"renamed"}}`},
		{operation: "passwordprofiles.Patch", path: "/v1/passwordprofiles/default", body: `{"Name":"changed"}`},
		{operation: "passwordprofiles.Save", path: "/v1/passwordprofiles/default", body: `{"Name":"replaced"}`},
		{operation: "PasswordProfiles.Update", path: kit.RealmPath + "/password-profiles/default", body: profile + `"enable_one_time_password_token":false,"password_min_length":8}}`},
		{operation: "AuthenticationRealms.Update", path: kit.RealmPath, body: `{"data":{"type":"authentication-realm","redirect_uris":["https://stranger.example.com"]}}`},
		{operation: "AuthenticationRealms.Update", path: kit.RealmPath, body: `{"data":{"type":"authentication-realm","redirect_uris":[]}}`},
		{operation: "UserAuthenticationInfo.Update", path: user, body: `{"data":{"type":"user_authentication_info","email":"mine@example.com"}}`, refusal: 404, unknown: true},
		{operation: "UserAuthenticationInfo.Delete", path: user, refusal: 404, unknown: true},
		{
			operation: "UserAuthenticationPasswordProfileInfo.Create", path: user + "/user-authentication-password-profile-info",
			body: `{"data":{"password_profile_id":"` + g.staffProfile + `","username":"x","password":"Taken-Over-Now-1"}}`, refusal: 404, unknown: true,
		},
		{operation: "UserAuthenticationPasswordProfileInfo.Update", path: login, body: `{"data":{"password":"Taken-Over-Now-1"}}`, refusal: 404, unknown: true},
		{operation: "UserAuthenticationPasswordProfileInfo.Delete", path: login, refusal: 404, unknown: true},
		{
			operation: "AccountMemberships.Create", path: "/v2/accounts/acme/account-memberships",
			body: `{"data":{"type":"account_membership","account_member_id":"` + g.bossUID + `"}}`, refusal: 404, unknown: true,
		},
		{operation: "AccountMemberships.Update", path: memberships + "/" + g.membership, body: `{"data":{"type":"account_membership","roles":["BuyerAdmin"]}}`},
		{operation: "AccountMemberships.Update", path: memberships + "/" + g.membership, body: `{"data":{"type":"account_membership","roles":["FullAccess","BuyerAdmin"]}}`},
		{operation: "AccountMemberships.Update", path: memberships + "/" + g.membership, body: `{"data":{"type":"account_membership","roles":[]}}`},
		{operation: "AccountMemberships.Update", path: memberships + "/" + g.membership, body: `{"data":{"type":"account_membership","roles":["Vault"]}}`},
		{operation: "AccountMemberships.Delete", path: memberships + "/" + g.membership},
		{operation: "PasswordProfiles.Delete", path: kit.RealmPath + "/password-profiles/" + g.staffProfile},
	}
}

// TestOnlyFullAccessMakesFullAccessChanges tries each change that needs FullAccess, by each
// writing operation, with each documented role and with all roles except FullAccess together.
// All attempts must be refused and change nothing. FullAccess may make all of the changes.
func TestOnlyFullAccessMakesFullAccessChanges(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	g := newGuarded(t, m)
	writes := g.writes(t)
	tokens := map[string]string{}
	var all []string
	for _, o := range writes {
		for _, role := range o.roles {
			if tokens[role] == "" {
				tokens[role] = worker(m, t, "only-"+role, role)
				all = append(all, role)
			}
		}
	}
	everything := worker(m, t, "every-role", all...)
	before := g.state(t)
	attempts := g.attempts()
	for _, a := range attempts {
		o := writes[a.operation]
		if o.method == "" {
			t.Fatalf("got no writing operation %s", a.operation)
		}
		for _, role := range o.roles {
			g.tries(t, a, o.method, role, tokens[role])
		}
		g.tries(t, a, o.method, "every role", everything)
	}
	if diff := cmp.Diff(before, g.state(t)); diff != "" {
		t.Errorf("the attempts changed (-before +after):\n%s", diff)
	}
	g.classified(t, writes, attempts)
	for _, a := range attempts {
		if a.unknown {
			continue
		}
		if got := m.Send(m.First, m.AdminToken, writes[a.operation].method, a.path, a.body); got.Status >= 300 {
			t.Errorf("FullAccess: %s %s %s: got %d %s", a.operation, a.path, a.body, got.Status, got.Body)
		}
	}
}

func (g *fullAccessRecords) tries(t *testing.T, a escalation, method, who, token string) {
	t.Helper()
	want := a.refusal
	if want == 0 {
		want = http.StatusForbidden
	}
	if got := g.Send(g.First, token, method, a.path, a.body); got.Status != want && !(want == http.StatusNotFound && got.Status == http.StatusForbidden) {
		t.Errorf("%s: %s %s %s %s: got %d %s, want %d", who, a.operation, method, a.path, a.body, got.Status, got.Body, want)
	}
}

// writes returns the writing operations of the document below /v1 and /v2, by their IDs,
// without those that need no token.
func (g *fullAccessRecords) writes(t *testing.T) map[string]operation {
	t.Helper()
	all := map[string]operation{}
	for path, methods := range fetchDocument(g.OrderCloud, t).Paths {
		for method, o := range methods {
			if method != "get" && strings.HasPrefix(path, "/v") && len(o.Security) > 0 {
				all[o.OperationID] = operation{id: o.OperationID, method: strings.ToUpper(method), path: path, roles: o.Roles}
			}
		}
	}
	if len(all) < 80 {
		t.Errorf("got only %d writing operations", len(all))
	}
	return all
}

// classified tests that every writing operation has an attempt or a reason why there is none.
func (g *fullAccessRecords) classified(t *testing.T, writes map[string]operation, attempts []escalation) {
	t.Helper()
	reasons := grantsNothing()
	for id := range writes {
		tried := slices.ContainsFunc(attempts, func(a escalation) bool { return a.operation == id })
		if tried == (reasons[id] != "") {
			t.Errorf("operation %s: got attempts %v, reason %q; want one of them", id, tried, reasons[id])
		}
	}
}

// state returns the records that the attempts must not change.
func (g *fullAccessRecords) state(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, path := range []string{
		"/v1/apiclients/as-boss", "/v1/apiclients/as-boss/secrets", "/v1/apiclients/desk", "/v1/apiclients/desk/secrets", "/v1/apiclients/full/secrets",
		"/v1/apiclients/as-nobody", "/v1/apiclients/as-nobody/secrets", "/v1/apiclients/floor", "/v1/apiclients/api", "/v1/apiclients/assignments",
		"/v1/securityprofiles/all", "/v1/securityprofiles/strict", "/v1/securityprofiles/strict-boss", "/v1/securityprofiles/every-admin",
		"/v1/securityprofiles/assignments", "/v1/messagesenders", "/v1/messagesenders/assignments", "/v1/integrations/deliveryconfig/hook",
		"/v1/adminusers", kit.RealmPath, kit.RealmPath + "/password-profiles", "/v2/accounts/" + g.account + "/account-memberships",
		"/v1/buyers/acme/users/ann/memberships",
	} {
		got := g.Do(t, 200, "GET", path, nil)
		seen[path] = got.Header.Get("ETag") + got.Body
	}
	return seen
}

// TestRaisedClientReportsItsSecrets tests that an administrator who may not use the roles of a
// client or sender cannot change it. When an administrator gives a client more roles, the
// response and the audit event name the secrets that the client already has.
func TestRaisedClientReportsItsSecrets(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	g := newGuarded(t, m)
	lesser := worker(m, t, "lesser", "ApiClientAdmin", "MessageSenderAdmin", "MessageConfigAssignmentAdmin", "SecurityProfileAdmin")

	made := m.DoAs(t, lesser, 201, "POST", "/v1/apiclients", `{"ID":"robot","AppName":"Robot","ClientSecret":"`+plantedSecret+`"}`)
	mustName(t, made, "AppName", "ClientSecret")
	m.DoAs(t, lesser, 201, "POST", "/v1/apiclients/robot/secrets", `{"Name":"second"}`)
	changed := m.DoAs(t, lesser, 200, "PATCH", "/v1/apiclients/robot", `{"ClientSecret":"`+plantedSecret+`-2","AccessTokenDuration":60}`)
	mustName(t, changed, "AccessTokenDuration", "ClientSecret")
	if notice := changed.Header.Get("Latchkey-Notice"); notice != "" {
		t.Errorf("got the notice %q, want none", notice)
	}
	same := m.DoAs(t, lesser, 200, "PATCH", "/v1/apiclients/robot", `{"ClientSecret":"`+plantedSecret+`-2"}`)
	if same.Header.Get("Latchkey-Changed") != "" {
		t.Errorf("got the changed members %q, want none", same.Header.Get("Latchkey-Changed"))
	}

	raised := m.Do(t, 200, "PATCH", "/v1/apiclients/robot", `{"DefaultContextUserName":"boss"}`)
	mustName(t, raised, "DefaultContextUserName")
	secrets := m.Do(t, 200, "GET", "/v1/apiclients/robot/secrets", nil)
	for i := range 2 {
		id, _ := at(t, secrets, "Items", []string{"0", "1"}[i], "ID").(string)
		if notice := raised.Header.Get("Latchkey-Notice"); id == "" || !strings.Contains(notice, id) || !strings.Contains(notice, "FullAccess") {
			t.Errorf("got the notice %q, want it to name FullAccess and secret %q", notice, id)
		}
	}
	for _, body := range []string{`{"DefaultContextUserName":null}`, `{"DefaultContextUserName":null,"ClientSecret":"x-` + plantedSecret + `"}`} {
		m.DoAs(t, lesser, 403, "PATCH", "/v1/apiclients/robot", body)
	}
	mustHearOfChange(m, t, "ApiClient/robot", "apiclient.created", "AccessTokenDuration Active AllowedCredentials", false)
	mustHearOfChange(m, t, "ApiClient/robot", "apiclient.updated", "AccessTokenDuration ClientSecret", true)
	mustHearOfChange(m, t, "ApiClient/robot", "apiclient.updated", "DefaultContextUserName", true)
	mustHearOfChange(m, t, "ApiClient/robot", "apiclient.raised", "", true)

	m.DoAs(t, lesser, 403, "DELETE", "/v1/messagesenders/staff/assignments", nil)
	mustName(t, m.Do(t, 200, "PATCH", "/v1/messagesenders/plain", `{"SharedKey":"another"}`), "SharedKey")
	mustName(t, m.Do(t, 200, "PATCH", "/v1/integrations/deliveryconfig/hook", `{"DeliveryTargets":{"MessageSender":{"Secret":"another"}}}`), "DeliveryTargets.MessageSender.Secret")
	mustName(t, m.Do(t, 200, "PATCH", "/v1/adminusers/boss", `{"Password":"`+kit.TedPassword+`"}`), "Password")
	mustHearOfChange(m, t, "AdminUser/boss", "adminuser.updated", "Password PasswordLastSetDate", true)
	mustName(t, m.Do(t, 200, "PATCH", "/v1/securityprofiles/strict", `{"PasswordConfig":{"LockoutDuration":7}}`), "PasswordConfig.LockoutDuration")
	put := m.Do(t, 200, "PUT", kit.RealmPath+"/password-profiles/default", `{"data":{"type":"password_profile","lockout_threshold":7}}`)
	mustName(t, put, "lockout_threshold")
	mustHearOfChange(m, t, "password_profile/default", "password_profile.updated", "lockout_threshold", true)
	mustName(t, m.Do(t, 200, "PUT", "/v2/accounts/"+g.account+"/account-memberships/"+g.membership, `{"data":{"type":"account_membership","roles":[]}}`), "roles")
}

// mustName expects an answer that lists these members as changed. It may list others too.
func mustName(t *testing.T, a kit.Response, members ...string) {
	t.Helper()
	named := strings.Split(a.Header.Get("Latchkey-Changed"), ", ")
	for _, member := range members {
		if !slices.Contains(named, member) {
			t.Errorf("got the changed members %v, want %s among them", named, member)
		}
	}
}

// mustHearOfChange waits for an audit event about the object with the changed members, compared
// exactly or by prefix.
func mustHearOfChange(m *kit.OrderCloud, t *testing.T, object, action, changed string, exactly bool) {
	t.Helper()
	kit.Eventually(t, action+" of "+object+": "+changed, func() bool {
		var page struct {
			Items []struct {
				Action  string
				Changed []string
			}
		}
		list := m.Do(t, 200, "GET", "/v1/auditevents?Object="+object, nil)
		if err := json.Unmarshal([]byte(list.Body), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			got := strings.Join(e.Changed, " ")
			if e.Action == action && (got == changed || !exactly && strings.HasPrefix(got, changed)) {
				return true
			}
		}
		return false
	})
}

// TestLesserRolesStillWork tests that administrators of each type can work on records without
// more roles than their own.
func TestLesserRolesStillWork(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	g := newGuarded(t, m)
	clients := worker(m, t, "clients", "ApiClientAdmin")
	m.DoAs(t, clients, 201, "POST", "/v1/apiclients", `{"ID":"shop","AppName":"Shop","AllowAnyBuyer":true,"MaximumGrantedRoles":["Shopper"],"ClientSecret":"`+kit.ClientSecret+`"}`)
	m.DoAs(t, clients, 200, "PATCH", "/v1/apiclients/shop", `{"DefaultContextUserName":"ann","IsAnonBuyer":true}`)
	m.DoAs(t, clients, 204, "POST", "/v1/apiclients/assignments", `{"ApiClientID":"shop","BuyerID":"acme"}`)
	id := m.DoAs(t, clients, 201, "POST", "/v1/apiclients/shop/secrets", `{}`).Field("ID")
	m.DoAs(t, clients, 204, "DELETE", "/v1/apiclients/shop/secrets/"+id, nil)
	m.DoAs(t, clients, 204, "DELETE", "/v1/apiclients/shop", nil)

	senders := worker(m, t, "senders", "MessageSenderAdmin", "DeliveryConfigAdmin")
	m.DoAs(t, senders, 200, "PATCH", "/v1/messagesenders/plain", `{"URL":"`+m.SenderInbox.URL+`/x"}`)
	m.DoAs(t, senders, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"plain","BuyerID":"acme"}`)
	m.DoAs(t, senders, 201, "POST", "/v1/integrations/deliveryconfig", `{"ID":"own","Name":"Own","DeliveryTargets":{"MessageSender":{"Endpoint":"`+m.SenderInbox.URL+`","Secret":"k"}}}`)
	m.DoAs(t, senders, 200, "PATCH", "/v1/messagesenders/plain", `{"DeliveryConfigID":"own"}`)
	m.DoAs(t, senders, 200, "PATCH", "/v1/integrations/deliveryconfig/own", `{"Enabled":false}`)
	m.DoAs(t, senders, 204, "DELETE", "/v1/messagesenders/plain", nil)
	m.DoAs(t, senders, 204, "DELETE", "/v1/integrations/deliveryconfig/own", nil)

	profiles := worker(m, t, "profiles", "SecurityProfileAdmin", "BuyerAdmin", "Shopper")
	m.DoAs(t, profiles, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"loose","BuyerID":"acme"}`)
	m.DoAs(t, profiles, 200, "PATCH", "/v1/securityprofiles/loose", `{"Roles":["Shopper"]}`)
	m.DoAs(t, profiles, 200, "PUT", "/v2/settings/account-authentication", `{"data":{"type":"account_authentication_settings","enable_self_signup":true}}`)
	m.DoAs(t, profiles, 200, "PUT", kit.RealmPath, `{"data":{"type":"authentication-realm","name":"Shoppers"}}`)
	made := m.DoAs(t, profiles, 201, "POST", kit.RealmPath+"/password-profiles", `{"data":{"type":"password_profile","name":"Shoppers"}}`)
	own, _ := at(t, made, "data", "id").(string)
	m.DoAs(t, profiles, 200, "PUT", kit.RealmPath+"/password-profiles/"+own, `{"data":{"type":"password_profile","lockout_threshold":4}}`)
	m.DoAs(t, profiles, 204, "DELETE", kit.RealmPath+"/password-profiles/"+own, nil)
	path := "/v2/accounts/" + g.account + "/account-memberships/" + g.membership
	m.Do(t, 200, "PUT", path, `{"data":{"type":"account_membership","roles":["Shopper"]}}`)
	m.DoAs(t, profiles, 200, "PUT", path, `{"data":{"type":"account_membership","roles":["BuyerAdmin"]}}`)
	m.DoAs(t, profiles, 204, "DELETE", path, nil)

	// An administrator with all roles of the others manages them.
	m.Do(t, 200, "PATCH", "/v1/securityprofiles/all", `{"Roles":["Shopper"],"CustomRoles":["Vault"]}`)
	peer := worker(m, t, "peer", "AdminUserAdmin", "SecurityProfileAdmin", "ApiClientAdmin", "Shopper", "Vault")
	m.DoAs(t, peer, 200, "PATCH", "/v1/adminusers/boss", `{"Phone":"+41"}`)
	m.DoAs(t, peer, 200, "PATCH", "/v1/apiclients/as-boss", `{"ClientSecret":"`+plantedSecret+`"}`)
	m.DoAs(t, peer, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"loose","UserID":"boss"}`)
	m.DoAs(t, peer, 200, "PUT", kit.RealmPath+"/password-profiles/default", `{"data":{"type":"password_profile","lockout_threshold":5}}`)
}
