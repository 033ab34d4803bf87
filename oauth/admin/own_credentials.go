package admin

import "latchkey/storage"

// ChangesCredentials reports whether a change of a user concerns what the user
// signs in with or is reached by: username, e-mail address, phone number or, if
// newPassword is set, the password. A user changes these of its own only after a
// sign-in that allows it; see Caller.MayChangeCredentials of package token.
func ChangesCredentials(before, after storage.UserLogin, newPassword bool) bool {
	return newPassword || after.Login.Username != before.Login.Username ||
		after.User.Email != before.User.Email || after.User.Phone != before.User.Phone
}
