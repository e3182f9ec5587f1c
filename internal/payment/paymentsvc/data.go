package paymentsvc

import (
	"context"
	"encoding/json"
	"fmt"

	"xinglin/internal/kernel/dataclass"
	"xinglin/internal/platform/mask"
)

// data are the classes of the columns. The channel's own numbers lead to a payer there.
func data() dataclass.Schema {
	steps := "from_state to_state at"
	return dataclass.Schema{
		"payment": {
			dataclass.ID: "tenant_id id account_id reference_id number",
			dataclass.Fact: `purpose amount_fen refunded_fen pending_fen state effect deadline channel pay_url_until giving_up asked_at paid_at
				version created_at`,
			dataclass.Public: "description",
			dataclass.Number: "channel_transaction",
			dataclass.Secret: "pay_url",
		},
		"payment_history": {dataclass.ID: "tenant_id payment_id id act_id", dataclass.Fact: steps},
		"refund": {
			dataclass.ID:     "tenant_id id payment_id replaced_by",
			dataclass.Fact:   "amount_fen state held attempts version created_at done_at",
			dataclass.Text:   "reason",
			dataclass.Number: "channel_refund",
		},
		"refund_history": {dataclass.ID: "tenant_id refund_id id act_id", dataclass.Fact: steps},
		"notification": {
			dataclass.ID:     "tenant_id id payment_id refund_id",
			dataclass.Fact:   "channel event hash outcome received_at",
			dataclass.Record: "content",
		},
		"callback": {
			dataclass.ID:     "tenant_id notification_id",
			dataclass.Fact:   "channel received_at",
			dataclass.Secret: "replay_key",
		},
		"fact": {
			dataclass.ID:   "tenant_id id payment_id refund_id number",
			dataclass.Fact: "kind channel amount_fen at posted_at",
		},
		"cash_movement": {
			dataclass.ID:   "tenant_id id payment_id refund_id account_id",
			dataclass.Fact: "amount_fen received_fen at",
		},
	}
}

// masks: money stays to the fen; what the channel calls a payment is another number, the same wherever it stands.
func masks() []mask.Rule {
	return []mask.Rule{
		{Table: "payment", Row: maskPayment},
		{Table: "refund", Row: maskRefund},
		{Table: "notification", Row: maskNotification},
	}
}

const channelNumber = "payment channel"

func maskPayment(_ context.Context, c *mask.Copy, r *mask.Row) error {
	if !r.Null("channel_transaction") {
		r.Set("channel_transaction", c.Opaque(channelNumber, r.Text("channel_transaction")))
	}
	r.Set("pay_url", "")
	r.Set("pay_url_until", int64(0))
	return nil
}

func maskRefund(_ context.Context, c *mask.Copy, r *mask.Row) error {
	r.Set("channel_refund", c.Opaque(channelNumber, r.Text("channel_refund")))
	r.Set("reason", c.Code(r.Text("reason")))
	return nil
}

// maskNotification keeps what the effect of a notification needs.
func maskNotification(_ context.Context, c *mask.Copy, r *mask.Row) error {
	var content told
	if err := json.Unmarshal(r.Bytes("content"), &content); err != nil {
		return fmt.Errorf("payment: the content of a notification is no JSON") // the decoder's words quote it
	}
	if t := content.Transaction; t != nil {
		t.TransactionID, t.StateText, t.Attach = c.Opaque(channelNumber, t.TransactionID), "", ""
	}
	if f := content.Refund; f != nil {
		f.TransactionID, f.RefundID = c.Opaque(channelNumber, f.TransactionID), c.Opaque(channelNumber, f.RefundID)
	}
	b, err := json.Marshal(content)
	r.Set("content", string(b))
	return err
}
