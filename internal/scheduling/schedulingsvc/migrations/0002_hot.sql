-- +goose Up

-- Every write of a slot's seats counts here, so that a session's live version is schedule.version + SUM(slot.version).
ALTER TABLE slot ADD COLUMN version {{bigint}} NOT NULL DEFAULT 0;
