package surface

import (
	"errors"
	"net/http/httptest"
	"testing"

	"latchkey/oauth/openapi"
)

func TestReadQuery(t *testing.T) {
	t.Parallel()
	takes := []openapi.Parameter{{Name: "buyerID"}, {Name: "userID"}, {Name: "email", Required: true}}
	for query, want := range map[string]string{ // the error for a DELETE; empty if the query is accepted
		"": "", "buyerID=acme": "", "buyerID=acme&userID=jane": "", "buyerID=%61cme": "", "email=": "", "&buyerID=acme&": "",
		"buyerID=acme;x":          "the query of the URL is malformed",
		"buyerID=acme;":           "the query of the URL is malformed",
		";":                       "the query of the URL is malformed",
		"buyerID=acme&a;b":        "the query of the URL is malformed",
		"buyerID=%":               "the query of the URL is malformed",
		"buyerID=%a":              "the query of the URL is malformed",
		"buyerID=%zz":             "the query of the URL is malformed",
		"%zz=acme":                "the query of the URL is malformed",
		"buyerId=acme":            "query parameter buyerId: unknown parameter; did you mean buyerID?",
		"BuyerID=acme":            "query parameter BuyerID: unknown parameter; did you mean buyerID?",
		"buyreID=acme":            "query parameter buyreID: unknown parameter; did you mean buyerID?",
		"buyer=acme":              "query parameter buyer: unknown parameter",
		"buyerID=acme&depth=all":  "query parameter depth: unknown parameter",
		"=acme":                   "unknown parameter",
		"buyerID":                 "query parameter buyerID: must not be empty",
		"buyerID=":                "query parameter buyerID: must not be empty",
		"buyerID=acme&buyerID=b":  "query parameter buyerID: occurs more than once",
		"buyerID=acme&buyerID=":   "query parameter buyerID: occurs more than once",
		"userID=jane&userID=jane": "query parameter userID: occurs more than once",
		"a%0Ab=x":                 "query parameter a?b: unknown parameter",
	} {
		for _, method := range []string{"DELETE", "POST", "PUT", "PATCH"} {
			request := httptest.NewRequest(method, "/x", nil)
			request.URL.RawQuery = query
			values, err := ReadQuery(request, takes)
			fault, refused := errors.AsType[*QueryError](err)
			if got := errorText(err); got != want || refused && (fault.Problem == "" || values != nil) {
				t.Errorf("%s %q: got %q, want %q", method, query, got, want)
			}
		}
		for _, method := range []string{"GET", "HEAD"} {
			request := httptest.NewRequest(method, "/x", nil)
			request.URL.RawQuery = query
			if _, err := ReadQuery(request, takes); (err != nil) != (want == "the query of the URL is malformed") {
				t.Errorf("%s %q: got %v", method, query, err)
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestResembled(t *testing.T) {
	t.Parallel()
	known := []string{"ID", "xp", "Name", "Email", "Username", "BuyerID", "Seller", "UserIDs", "TermsAccepted"}
	for name, want := range map[string]string{
		"id": "ID", "XP": "xp", "name": "Name", "Nmae": "Name", "Nam": "Name", "Names": "Name", "Emial": "Email", "Emai": "Email",
		"usernmae": "Username", "Usrnme": "Username", "buyerId": "BuyerID", "BuyreID": "BuyerID", "TermsAcceptd": "TermsAccepted",
		// These are other names, or the name itself.
		"Name": "", "BuyerID": "", "": "", "I": "", "x": "", "xq": "", "NamedX": "", "Buyer": "", "SellerID": "", "UserID": "UserIDs",
		"OwnerID": "", "depth": "", "CatalogID": "", "Usr": "", "TermsAgreed": "",
	} {
		if got := Resembled(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
