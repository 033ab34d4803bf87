package wire

// UserGroup is a group of a company's users or of admin users. There are none here.
type UserGroup struct{ ID, Name string }

// UserGroupAssignment puts a user into a group. There are none here.
type UserGroupAssignment struct{ UserGroupID, UserID string }

// Locale is a language and a currency. There are none here.
type Locale struct{ ID, Currency, Language string }

// LocaleAssignment gives a locale to a buyer or to a user group. There are none
// here.
type LocaleAssignment struct{ LocaleID, BuyerID, UserGroupID string }

// ImpersonationConfig lets users act as users of a buyer. There are none here.
type ImpersonationConfig struct{ ID, ImpersonationBuyerID string }
