package storage

import "io"

// NewMember returns a new buyer user of the realm, with the name, addresses and other
// details of u. Its UID, ID, RealmID, Kind and Active are set here. If the realm creates an
// account for each member, the user gets a new account with the name of u. NewMember
// returns the error of rand, which makes the IDs.
func (r Realm) NewMember(rand io.Reader, u User) (NewUser, error) {
	uid, err := NewUserUID(rand)
	if err != nil {
		return NewUser{}, err
	}
	u.UID, u.ID, u.RealmID, u.Kind, u.Active = uid, uid, r.ID, Buyer, true
	if !r.AutoCreateAccount || r.ID != DefaultRealmID { // only the default realm has accounts of /v2
		return NewUser{User: u}, nil
	}
	account, err := NewBuyer(rand, r.ID, u.Name)
	account.LegalName = u.Name
	return NewUser{User: u, Account: &account}, err
}

// NewBuyer returns a new active buyer account of the realm with that name. It returns the
// error of rand, which makes the IDs.
func NewBuyer(rand io.Reader, realmID, name string) (Account, error) {
	uid, err := NewID(rand, AccountPrefix)
	if err != nil {
		return Account{}, err
	}
	id, err := NewUUID(rand)
	return Account{UID: uid, RealmID: realmID, Kind: Buyer, ID: id, Name: name, Active: true}, err
}
