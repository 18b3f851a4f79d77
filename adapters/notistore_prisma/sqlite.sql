CREATE TABLE IF NOT EXISTS notistore_notifications (
    id varchar(36) NOT NULL,
    tenant varchar(64) NOT NULL DEFAULT '',
    recipient_type varchar(64) NOT NULL,
    recipient_id varchar(128) NOT NULL,
    type varchar(64) NOT NULL,
    stable_key varchar(255),
    data text NOT NULL,
    actor_type varchar(64),
    actor_id varchar(64),
    trace_id varchar(128),
    version integer NOT NULL,
    read_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX IF NOT EXISTS notistore_notifications_inbox
    ON notistore_notifications (tenant, recipient_type, recipient_id, created_at, id);

CREATE INDEX IF NOT EXISTS notistore_notifications_unread
    ON notistore_notifications (tenant, recipient_type, recipient_id, read_at, created_at, id) WHERE read_at IS NULL;

CREATE INDEX IF NOT EXISTS notistore_notifications_age
    ON notistore_notifications (updated_at, id);
