package identity

// SessionRevoked tells every process to forget a session at once; the database is the truth.
type SessionRevoked struct {
	Account AccountID `json:"account_id"`
	Session SessionID `json:"session_id"` // zero: all of the account
}

// EventName implements event.Event.
func (SessionRevoked) EventName() string { return "identity.session.revoked.v1" }
