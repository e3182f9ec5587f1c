package passkey

import (
	"context"
	"time"

	"xinglin/internal/identity"
	"xinglin/internal/platform/httpx"
)

// Routes adds the operations on the own passkeys; those that log in or prove again are identity's.
func (s *Service) Routes(a *httpx.API) {
	httpx.Register(a, httpx.Op{ID: "identity.list_passkeys", Method: "GET", Path: "/auth/passkeys", Summary: "My passkeys, oldest first"}, s.httpList)
	httpx.Register(a, httpx.Op{ID: "identity.offer_passkey", Method: "POST", Path: "/auth/passkeys/options", Summary: "What a browser needs to make a passkey (needs a fresh proof)"}, s.httpOffer)
	httpx.Register(a, httpx.Op{ID: "identity.add_passkey", Method: "POST", Path: "/auth/passkeys", Summary: "Add the passkey that was made (needs a fresh proof)", Status: 201}, s.httpAdd)
	httpx.Register(a, httpx.Op{ID: "identity.rename_passkey", Method: "PUT", Path: "/auth/passkeys/{id}", Summary: "Call a passkey otherwise", Status: 204}, s.httpRename)
	httpx.Register(a, httpx.Op{ID: "identity.remove_passkey", Method: "DELETE", Path: "/auth/passkeys/{id}", Summary: "Remove a passkey (needs a fresh proof)", Status: 204}, s.httpRemove)
	httpx.Register(a, httpx.Op{ID: "identity.ask_passkey", Method: "POST", Path: "/auth/passkeys/challenge", Summary: "What a browser needs to log in with a passkey", Public: true}, s.httpAsk)
}

// SiteOf is the site of the request.
func SiteOf(ctx context.Context) Site {
	origin, host := httpx.Site(ctx)
	return Site{Origin: origin, Host: host}
}

// PasskeyBody is a passkey as its owner sees it.
type PasskeyBody struct {
	ID        ID     `json:"id" format:"uuid"`
	Name      string `json:"name"`
	Host      string `json:"host" doc:"The host name that it works on"`
	Synced    bool   `json:"synced" doc:"It may be copied to the person's other devices by their maker"`
	Blocked   bool   `json:"blocked" doc:"Its counter went back: it may have been copied, and is refused"`
	CreatedAt string `json:"created_at" format:"date-time"`
	UsedAt    string `json:"used_at,omitempty" format:"date-time"`
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func bodyOf(k shown) PasskeyBody {
	b := PasskeyBody{ID: k.id, Name: k.title.Reveal(), Host: k.host, Synced: k.synced, Blocked: !k.blocked.IsZero(), CreatedAt: stamp(k.created)}
	if !k.used.IsZero() {
		b.UsedAt = stamp(k.used)
	}
	return b
}

type listOut struct {
	Body struct {
		Items []PasskeyBody `json:"items" nullable:"false"`
	}
}

func (s *Service) httpList(ctx context.Context, _ *struct{}) (*listOut, error) {
	keys, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	out := &listOut{}
	out.Body.Items = []PasskeyBody{}
	for _, k := range keys {
		out.Body.Items = append(out.Body.Items, bodyOf(k))
	}
	return out, nil
}

// DescriptorBody names a credential (PublicKeyCredentialDescriptorJSON).
type DescriptorBody struct {
	ID         string   `json:"id"`
	Type       string   `json:"type" enum:"public-key"`
	Transports []string `json:"transports,omitempty"`
}

func descriptors(keys []Known) []DescriptorBody {
	out := []DescriptorBody{}
	for _, k := range keys {
		out = append(out, DescriptorBody{ID: base64url(k.Credential), Type: "public-key", Transports: k.Transports})
	}
	return out
}

// RequestBody is what navigator.credentials.get takes (PublicKeyCredentialRequestOptionsJSON).
type RequestBody struct {
	Challenge        string           `json:"challenge"`
	Timeout          int64            `json:"timeout" doc:"Milliseconds"`
	RPID             string           `json:"rpId"`
	AllowCredentials []DescriptorBody `json:"allowCredentials" nullable:"false"`
	UserVerification string           `json:"userVerification" enum:"required"`
}

// AskedBody is a question for an authenticator with the handle that its answer carries.
type AskedBody struct {
	Handle    string      `json:"handle" doc:"Send it back with the answer; good once, for five minutes"`
	PublicKey RequestBody `json:"public_key"`
}

// BodyOf writes a question.
func BodyOf(a Asked) AskedBody {
	return AskedBody{Handle: a.Handle, PublicKey: RequestBody{
		Challenge: base64url(a.Challenge), Timeout: a.Timeout.Milliseconds(), RPID: a.Host, AllowCredentials: descriptors(a.Keys), UserVerification: "required",
	}}
}

type askedOut struct{ Body AskedBody }

func (s *Service) httpAsk(ctx context.Context, _ *struct{}) (*askedOut, error) {
	asked, err := s.Ask(ctx, httpx.TenantOf(ctx), SiteOf(ctx))
	if err != nil {
		return nil, err
	}
	return &askedOut{BodyOf(asked)}, nil
}

type partyBody struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type userBody struct {
	ID          string `json:"id" doc:"Random; nothing of the person"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

type parameterBody struct {
	Type string `json:"type" enum:"public-key"`
	Alg  int64  `json:"alg"`
}

type selectionBody struct {
	ResidentKey        string `json:"residentKey" enum:"required"`
	RequireResidentKey bool   `json:"requireResidentKey"`
	UserVerification   string `json:"userVerification" enum:"required"`
}

// CreationBody is what navigator.credentials.create takes (PublicKeyCredentialCreationOptionsJSON).
type CreationBody struct {
	RP                     partyBody        `json:"rp"`
	User                   userBody         `json:"user"`
	Challenge              string           `json:"challenge"`
	PubKeyCredParams       []parameterBody  `json:"pubKeyCredParams" nullable:"false"`
	Timeout                int64            `json:"timeout" doc:"Milliseconds"`
	ExcludeCredentials     []DescriptorBody `json:"excludeCredentials" nullable:"false"`
	AuthenticatorSelection selectionBody    `json:"authenticatorSelection"`
	Attestation            string           `json:"attestation" enum:"none"`
}

type offeredOut struct {
	Body struct {
		Handle    string       `json:"handle" doc:"Send it back with the answer; good once, for five minutes"`
		PublicKey CreationBody `json:"public_key"`
	}
}

func (s *Service) httpOffer(ctx context.Context, _ *struct{}) (*offeredOut, error) {
	o, err := s.Offer(ctx, SiteOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &offeredOut{}
	out.Body.Handle = o.Handle
	out.Body.PublicKey = CreationBody{
		RP: partyBody{ID: o.Host, Name: "Xinglin 杏林"}, User: userBody{ID: base64url(o.UserHandle), Name: o.Label, DisplayName: o.Label},
		Challenge: base64url(o.Challenge), Timeout: o.Timeout.Milliseconds(), ExcludeCredentials: descriptors(o.Keys),
		AuthenticatorSelection: selectionBody{ResidentKey: "required", RequireResidentKey: true, UserVerification: "required"}, Attestation: "none",
	}
	for _, a := range algorithms {
		out.Body.PublicKey.PubKeyCredParams = append(out.Body.PublicKey.PubKeyCredParams, parameterBody{Type: "public-key", Alg: int64(a)})
	}
	return out, nil
}

// createdBody is RegistrationResponseJSON; what else a browser writes into it is not read.
type createdBody struct {
	_        struct{} `json:"-" additionalProperties:"true"`
	ID       string   `json:"id" maxLength:"1400"`
	Type     string   `json:"type" enum:"public-key"`
	Response struct {
		_                 struct{} `json:"-" additionalProperties:"true"`
		ClientDataJSON    string   `json:"clientDataJSON" maxLength:"4096"`
		AttestationObject string   `json:"attestationObject" maxLength:"16384"`
		Transports        []string `json:"transports,omitempty" maxItems:"10"`
	} `json:"response"`
}

type addIn struct {
	Body struct {
		Handle     string      `json:"handle" maxLength:"64"`
		Name       string      `json:"name" minLength:"1" maxLength:"40" example:"我的手机"`
		Credential createdBody `json:"credential" doc:"What navigator.credentials.create gave (toJSON)"`
	}
}

type addOut struct{ Body PasskeyBody }

func (s *Service) httpAdd(ctx context.Context, in *addIn) (*addOut, error) {
	c := in.Body.Credential
	k, err := s.add(ctx, SiteOf(ctx), in.Body.Handle, in.Body.Name, NewCredential{
		ID: c.ID, ClientData: c.Response.ClientDataJSON, Attestation: c.Response.AttestationObject, Transports: c.Response.Transports,
	})
	if err != nil {
		return nil, err
	}
	return &addOut{bodyOf(k)}, nil
}

// CredentialBody is AuthenticationResponseJSON; what else a browser writes into it is not read.
type CredentialBody struct {
	_        struct{} `json:"-" additionalProperties:"true"`
	ID       string   `json:"id" maxLength:"1400"`
	Type     string   `json:"type" enum:"public-key"`
	Response struct {
		_                 struct{} `json:"-" additionalProperties:"true"`
		ClientDataJSON    string   `json:"clientDataJSON" maxLength:"4096"`
		AuthenticatorData string   `json:"authenticatorData" maxLength:"4096"`
		Signature         string   `json:"signature" maxLength:"1400"`
		UserHandle        string   `json:"userHandle,omitempty" maxLength:"100"`
	} `json:"response"`
}

// Answer reads it.
func (b CredentialBody) Answer(handle string) Answer {
	return Answer{Handle: handle, Credential: Credential{
		ID: b.ID, ClientData: b.Response.ClientDataJSON, AuthenticatorData: b.Response.AuthenticatorData, Signature: b.Response.Signature, UserHandle: b.Response.UserHandle,
	}}
}

type oneIn struct {
	ID string `path:"id" maxLength:"64"`
}

type renameIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"40"`
	}
}

func readID(text string) (ID, error) {
	p, err := httpx.ID[Passkey](text)
	if err == nil && p.IsZero() {
		err = identity.ErrPasskeyNotFound.New()
	}
	return p, err
}

func (s *Service) httpRename(ctx context.Context, in *renameIn) (*struct{}, error) {
	p, err := readID(in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.rename(ctx, p, in.Body.Name)
}

func (s *Service) httpRemove(ctx context.Context, in *oneIn) (*struct{}, error) {
	p, err := readID(in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.remove(ctx, p)
}
