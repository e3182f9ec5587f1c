package schedulingsvc

// shareLotteryPG keeps sealing out until the entries of this transaction are in, and lets
// other entries in at the same time.
const shareLotteryPG = `SELECT state FROM lottery WHERE tenant_id = $1 AND id = $2 FOR SHARE`
