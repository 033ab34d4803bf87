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

// messageSenderAssignments say whose users a message sender serves.
type messageSenderAssignments struct{ *API }

func (a messageSenderAssignments) routes() []route {
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
	remove := operation(http.MethodDelete, "/v1/messagesenders/{messageSenderID}/assignments", "assignments.Delete", "Withdraw a sender from the users of a company or the admin users", admin, 400, 404)
	remove.Query = partyParameters()
	copies := operation(http.MethodGet, listeners, "CCListenerAssignments.List", "List who gets copies of messages: nobody", read, 400)
	copies.Query, copies.Answers = listParameters(), map[int]any{http.StatusOK: wire.List[wire.MessageSenderAssignment]{}}
	copyTo := operation(http.MethodPost, listeners, "CCListenerAssignments.Save", "Not supported", admin, 400)
	copyTo.Answers = nil
	return []route{
		{Operation: list, serve: a.list},
		{Operation: create, serve: a.save},
		{Operation: remove, serve: a.delete},
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

func (a messageSenderAssignments) list(c *call) (surface.Answer, error) {
	q, err := c.query(senderAssignmentFields(), []string{"MessageSenderID", "BuyerID", "SupplierID"})
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
	found, err := queryInMemory(q, senderAssignments(senders, accounts), func(w wire.MessageSenderAssignment, field string) string {
		return map[string]string{
			"MessageSenderID": w.MessageSenderID, "BuyerID": surface.ValueOr(w.BuyerID, ""), "SupplierID": surface.ValueOr(w.SupplierID, ""),
		}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, func(w wire.MessageSenderAssignment) wire.MessageSenderAssignment { return w })
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

func (a messageSenderAssignments) save(c *call) (surface.Answer, error) {
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
	return a.change(c, w, "created", func(s *storage.Sender, accountUID string) error {
		if accountUID == "" {
			s.AllowSeller = true
			return nil
		}
		s.AccountUIDs = surface.SortedSet(s.AccountUIDs, []string{accountUID})
		return nil
	})
}

func (a messageSenderAssignments) delete(c *call) (surface.Answer, error) {
	w := wire.MessageSenderAssignment{MessageSenderID: c.PathValue("messageSenderID"), BuyerID: c.queryID("buyerID"), SupplierID: c.queryID("supplierID")}
	if err := w.Validate("").Err(); err != nil {
		return surface.Answer{}, err
	}
	return a.change(c, w, "deleted", func(s *storage.Sender, accountUID string) error {
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

func (a messageSenderAssignments) change(c *call, w wire.MessageSenderAssignment, verb string, change func(s *storage.Sender, accountUID string) error) (surface.Answer, error) {
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
