package ordercloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var errListeners = refuse(http.StatusBadRequest, "NotSupported", "Messages are copied to nobody here: CC listeners are not supported.")

func (a *API) senderRoutes() []route {
	store := a.cfg.Stores.Senders
	return append(collection[wire.MessageSender, storage.Sender]{
		object: "MessageSender", path: "/v1/messagesenders", param: "messageSenderID",
		admin: []string{"MessageSenderAdmin"}, reader: []string{"MessageSenderReader"},
		fields: text("ID", "Name", "Description", "URL", "Kind").
			with("DeliveryConfigID", "DeliveryConfig", textField).with("xp", "XP", textField).
			with("Active", "Active", otherField).with("AllowAllBuyers", "AllowAllBuyers", otherField),
		search: []string{"ID", "Name", "Description"},
		list: func(c *call, q storage.Query) (storage.Page[storage.Sender], error) {
			ours := storage.Test{Op: storage.OpEqual, Value: string(storage.ElasticPathDialect), Not: true}
			q.Where = append(q.Where, storage.Condition{Fields: []string{"Dialect"}, Tests: []storage.Test{ours}})
			return store.ListSenders(c.Context(), q)
		},
		get: a.sender,
		fresh: func(*call) (storage.Sender, error) {
			return storage.Sender{RealmID: storage.DefaultRealmID}, nil
		},
		check: a.checkSender,
		merge: func(_ *call, w wire.MessageSender, r storage.Sender) (storage.Sender, error) {
			r = w.ToRecord(r)
			_, err := w.SealSecrets(a.cfg.Sealer, &r)
			return r, err
		},
		save: func(c *call, _ wire.MessageSender, r storage.Sender) (storage.Sender, error) {
			return store.PutSender(c.Context(), r)
		},
		remove: func(c *call, r storage.Sender, version int64) error {
			if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), &r, nil); err != nil {
				return err
			}
			return store.DeleteSender(c.Context(), r.ID, version)
		},
		show:   func(_ *call, r storage.Sender) wire.MessageSender { return wire.MessageSenderFromRecord(r) },
		id:     func(w *wire.MessageSender) *string { return &w.ID },
		newID:  a.newID,
		stamp:  func(r *storage.Sender) *int64 { return &r.Version },
		secret: wire.ChangedSenderSecrets,
		fixed:  true, atomic: true,
	}.routes(), a.senderAssignmentRoutes()...)
}

// sender finds a sender of this dialect.
func (a *API) sender(c *call, id string) (storage.Sender, error) {
	found, err := a.cfg.Stores.Senders.Sender(c.Context(), id)
	if err == nil && found.Dialect != storage.OrderCloudDialect {
		return storage.Sender{}, storage.ErrNotFound
	}
	return found, err
}

// checkSender finds the faults of what a sender is to become. Whoever says where
// its messages go gets the tokens in them.
func (a *API) checkSender(c *call, w wire.MessageSender, base storage.Sender) error {
	want := w.ToRecord(base)
	if err := w.Validate("", wire.KeptIn(want)).Err(); err != nil {
		return err
	}
	if want.DeliveryConfig != "" {
		_, err := a.cfg.Stores.DeliveryConfigs.DeliveryConfig(c.Context(), want.DeliveryConfig)
		if errors.Is(err, storage.ErrNotFound) {
			return notFound("DeliveryConfig", want.DeliveryConfig)
		}
		if err != nil {
			return err
		}
	}
	before := &base
	if base.Version == storage.MustBeNew {
		before = nil
	}
	return a.cfg.Rules.ChangeSender(c.caller.Authority(), before, &want)
}

// senderAssignmentRoutes say whom a sender serves.
func (a *API) senderAssignmentRoutes() []route {
	const path, listeners = "/v1/messagesenders/assignments", "/v1/messagesenders/CCListenerAssignments"
	admin := []string{"MessageSenderAdmin", "MessageConfigAssignmentAdmin"}
	read := []string{"MessageSenderAdmin", "MessageConfigAssignmentAdmin", "MessageSenderReader"}
	operation := func(method, path, id, summary string, roles []string, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: "messagesenders." + id, Tag: "MessageSenderAssignment",
			Summary: summary, Roles: roles, Refuses: refuses, Answers: map[int]any{http.StatusNoContent: nil},
		}
	}
	list := operation(http.MethodGet, path, "assignments.List", "List whom senders serve", read, 400)
	list.Query, list.Answers = senderAssignmentParameters(), map[int]any{http.StatusOK: wire.List[wire.MessageSenderAssignment]{}}
	create := operation(http.MethodPost, path, "assignments.Save", "Let a sender serve the users of a company or the admin users", admin, 400, 404)
	create.Body = wire.MessageSenderAssignment{}
	remove := operation(http.MethodDelete, "/v1/messagesenders/{messageSenderID}/assignments", "assignments.Delete", "Let a sender no longer serve a party", admin, 400, 404)
	remove.Query = partyParameters()
	copies := operation(http.MethodGet, listeners, "CCListenerAssignments.List", "List who gets copies of messages: nobody", read, 400)
	copies.Query, copies.Answers = listParameters(), map[int]any{http.StatusOK: wire.List[wire.MessageSenderAssignment]{}}
	copyTo := operation(http.MethodPost, listeners, "CCListenerAssignments.Save", "Not supported", admin, 400)
	copyTo.Answers = nil
	return []route{
		{Operation: list, serve: a.listSenderAssignments},
		{Operation: create, serve: a.assignSender},
		{Operation: remove, serve: a.unassignSender},
		{Operation: copies, serve: listListeners},
		{Operation: copyTo, serve: func(*call) (surface.Answer, error) { return surface.Answer{}, errListeners }},
	}
}

// senderAssignmentParameters are OrderCloud's. Senders are assigned to companies
// as a whole.
func senderAssignmentParameters() []openapi.Parameter {
	return append(listParameters(), groupParameter(),
		openapi.Parameter{Name: "userID", About: "Single user; senders are assigned to none, so nothing is found"},
		openapi.Parameter{Name: "level", About: "Company for all assignments, Group for those to user groups, of which there are none"})
}

func listListeners(c *call) (surface.Answer, error) {
	return emptyPageOf[wire.MessageSenderAssignment](c, senderAssignmentFields())
}

func senderAssignmentFields() fields { return text("MessageSenderID", "BuyerID", "SupplierID") }

func (a *API) listSenderAssignments(c *call) (surface.Answer, error) {
	q, page, err := c.query(senderAssignmentFields(), []string{"MessageSenderID", "BuyerID", "SupplierID"})
	if err != nil {
		return surface.Answer{}, err
	}
	switch strings.ToLower(c.values.Get("level")) {
	case "", "company":
	case "group":
		q.Where = append(q.Where, matchesNothing("MessageSenderID"))
	default:
		return surface.Answer{}, wire.Faults{{Path: "level", Problem: "must be Group or Company"}}
	}
	if c.queryID("userID") != nil || c.queryID("userGroupID") != nil {
		q.Where = append(q.Where, matchesNothing("MessageSenderID"))
	}
	senders, err := a.cfg.Stores.Senders.Senders(c.Context())
	if err != nil {
		return surface.Answer{}, err
	}
	var uids []string
	for i := range senders {
		uids = append(uids, senders[i].AccountUIDs...)
	}
	accounts, err := a.accountsByUID(c, uids)
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "MessageSenderID"}, {Field: "BuyerID"}, {Field: "SupplierID"}}
	}
	found := ask(q, senderAssignments(senders, accounts), func(w wire.MessageSenderAssignment, field string) string {
		return map[string]string{
			"MessageSenderID": w.MessageSenderID, "BuyerID": surface.ValueOr(w.BuyerID, ""), "SupplierID": surface.ValueOr(w.SupplierID, ""),
		}[field]
	})
	return listOf(page, q, found, func(w wire.MessageSenderAssignment) wire.MessageSenderAssignment { return w }), nil
}

func senderAssignments(senders []storage.Sender, accounts map[string]storage.Account) []wire.MessageSenderAssignment {
	var all []wire.MessageSenderAssignment
	for _, s := range senders {
		if s.Dialect != storage.OrderCloudDialect {
			continue
		}
		if s.AllowSeller {
			all = append(all, wire.MessageSenderAssignment{MessageSenderID: s.ID})
		}
		for _, uid := range s.AccountUIDs {
			if account, ok := accounts[uid]; ok {
				w := wire.MessageSenderAssignment{MessageSenderID: s.ID}
				w.BuyerID, w.SupplierID = partyIDs(account)
				all = append(all, w)
			}
		}
	}
	return all
}

func (a *API) assignSender(c *call) (surface.Answer, error) {
	var w wire.MessageSenderAssignment
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	faults := w.Validate("")
	if w.MessageSenderID == "" {
		faults.Add("MessageSenderID", "is required")
	}
	if err := faults.Err(); err != nil {
		return surface.Answer{}, err
	}
	return a.changeServed(c, w, "created", func(s *storage.Sender, accountUID string) error {
		if accountUID == "" {
			s.AllowSeller = true
			return nil
		}
		s.AccountUIDs = surface.SortedSet(s.AccountUIDs, []string{accountUID})
		return nil
	})
}

func (a *API) unassignSender(c *call) (surface.Answer, error) {
	w := wire.MessageSenderAssignment{MessageSenderID: c.PathValue("messageSenderID"), BuyerID: c.queryID("buyerID"), SupplierID: c.queryID("supplierID")}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	return a.changeServed(c, w, "deleted", func(s *storage.Sender, accountUID string) error {
		assigned := s.AllowSeller
		if accountUID != "" {
			assigned = slices.Contains(s.AccountUIDs, accountUID)
		}
		if !assigned {
			return notFound("MessageSenderAssignment", w.MessageSenderID)
		}
		if accountUID == "" {
			s.AllowSeller = false
		} else {
			s.AccountUIDs = without(s.AccountUIDs, accountUID)
		}
		return nil
	})
}

func (a *API) changeServed(c *call, w wire.MessageSenderAssignment, verb string, change func(s *storage.Sender, accountUID string) error) (surface.Answer, error) {
	object := "MessageSender/" + w.MessageSenderID
	var company storage.Account
	err := c.rewriteInTx(func(c *call) (err error) {
		if company, err = a.party(c, w.BuyerID, w.SupplierID); err != nil {
			return err
		}
		s, err := a.sender(c, w.MessageSenderID)
		if errors.Is(err, storage.ErrNotFound) {
			return notFound("MessageSender", w.MessageSenderID)
		}
		if err != nil {
			return err
		}
		before := s
		if err := change(&s, company.UID); err != nil {
			return err
		}
		if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), &before, &s); err != nil {
			return err
		}
		_, err = a.cfg.Stores.Senders.PutSender(c.Context(), s)
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	if company.UID != "" {
		object += "/" + objectType(company.Kind) + "/" + company.ID
	}
	a.record(c, "messagesenderassignment."+verb, object)
	return surface.Answer{Status: http.StatusNoContent}, nil
}
