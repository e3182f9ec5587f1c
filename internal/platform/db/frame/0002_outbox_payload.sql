-- +goose Up

-- A payload is bytes: a JSON array of events, or the same in a zstd frame. What waits stays as it is: JSON.
{{if pg}}
ALTER TABLE outbox ALTER COLUMN payload TYPE {{bytes}} USING convert_to(CAST(payload AS text), 'UTF8');
-- Large ones are packed already.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
{{else}}
ALTER TABLE outbox ADD COLUMN packed {{bytes}} NOT NULL DEFAULT x'';
UPDATE outbox SET packed = CAST(payload AS BLOB);
ALTER TABLE outbox DROP COLUMN payload;
ALTER TABLE outbox RENAME COLUMN packed TO payload;
{{end}}
