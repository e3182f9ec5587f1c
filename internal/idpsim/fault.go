package idpsim

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Kind is a way to be wrong.
type Kind string

// The faults. Those of the ID token are made with it, the others where they belong.
const (
	AlgNone       Kind = "alg_none"        // the ID token is not signed
	HMAC          Kind = "hs256"           // it is signed with HMAC and the public key
	OtherKey      Kind = "other_key"       // it is signed with nobody's key under our kid
	UnknownKid    Kind = "unknown_kid"     // under a kid that the set has not
	KeyInToken    Kind = "key_in_token"    // with nobody's key, which stands in its header
	Expired       Kind = "expired"         //
	Future        Kind = "future"          //
	OtherIssuer   Kind = "other_issuer"    //
	OtherAudience Kind = "other_audience"  //
	OtherParty    Kind = "other_azp"       //
	OtherNonce    Kind = "other_nonce"     //
	NoNonce       Kind = "no_nonce"        //
	OtherAtHash   Kind = "other_at_hash"   //
	NoIDToken     Kind = "no_id_token"     //
	HugeToken     Kind = "huge_token"      // an answer of a megabyte
	NotJSON       Kind = "not_json"        // the token endpoint answers with a page
	Down          Kind = "down"            // the token endpoint answers 503
	OtherUserinfo Kind = "other_userinfo"  // userinfo is of somebody else; WeChat's openid likewise
	NoIss         Kind = "no_iss"          // the browser comes back without iss
	OtherIss      Kind = "other_iss"       // ... with another's
	BadDiscovery  Kind = "other_discovery" // the description names another issuer
	Lead          Kind = "redirect"        // the token endpoint leads elsewhere
	ErrCode       Kind = "errcode"         // WeChat says -1 (busy), with status 200
)

var kinds = []Kind{
	AlgNone, HMAC, OtherKey, UnknownKid, KeyInToken, Expired, Future, OtherIssuer, OtherAudience, OtherParty, OtherNonce, NoNonce, OtherAtHash, NoIDToken,
	HugeToken, NotJSON, Down, OtherUserinfo, NoIss, OtherIss, BadDiscovery, Lead, ErrCode,
}

// Fault makes the next Times answers wrong; 0 is 1.
type Fault struct {
	Kind  Kind `json:"kind"`
	Times int  `json:"times"`
}

// Next queues a fault.
func (s *Server) Next(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times < 1 {
		f.Times = 1
	}
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, f)
	}
}

// wrong takes the first fault of the queue that is one of these kinds, "" for none.
func (s *Server) wrong(of ...Kind) Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if slices.Contains(of, f.Kind) {
			if s.faults[i].Times--; s.faults[i].Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
			return f.Kind
		}
	}
	return ""
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&f); err != nil || !slices.Contains(kinds, f.Kind) || f.Times > maxFaults {
		refuse(w, http.StatusUnprocessableEntity, "unknown_fault")
		return
	}
	s.Next(f)
	w.WriteHeader(http.StatusNoContent)
}
