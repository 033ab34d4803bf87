// Package apply brings the server's records in line with a document: it reads
// and checks the document, finds what differs from what is stored, and writes
// the difference in one transaction.
//
// The document has one vocabulary with the HTTP surfaces: an item stands as
// the /v1 resource takes it (see oauth/ordercloud), realms, password profiles
// and memberships in the words of /v2. The package adds what only a file has:
// users inside their buyer or supplier, Assignments inside their resource,
// Password and PasswordHash of users, ClientSecret of clients.
//
// What a run does and does not do:
//
//   - A second run with the same document changes nothing.
//   - An item stands for its whole record: a member that is left out takes its
//     default. Only realms and password profiles, of which every database has
//     some from the start, keep what their items leave out.
//   - Assignments, when the member is there, are all assignments of the item;
//     others are withdrawn. Left out, they stay as they are.
//   - A record that the document does not mention is left alone. Nothing is
//     ever deleted.
//   - An item without ID gets one made of its name, every character that an ID
//     may not have replaced by a hyphen.
//   - A Password that the stored hash verifies already is no change. A
//     PasswordHash is stored only for a login that has no password yet, since
//     the stored one may be its own upgrade or may have been changed by the
//     user; Config.ForcePasswords overrides that.
//   - A ClientSecret is kept as the secret named "ClientSecret" unless one of the
//     client's secrets matches already; secrets of other names stay.
//
// It does not open the database, read files or print.
package apply
