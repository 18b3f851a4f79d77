CREATE TABLE IF NOT EXISTS notistore_notifications (
    id varchar(36) COLLATE "C" NOT NULL,
    tenant varchar(64) COLLATE "C" NOT NULL DEFAULT '',
    recipient_type varchar(64) COLLATE "C" NOT NULL,
    recipient_id varchar(128) COLLATE "C" NOT NULL,
    type varchar(64) COLLATE "C" NOT NULL,
    stable_key varchar(255) COLLATE "C",
    data jsonb NOT NULL,
    actor_type varchar(64) COLLATE "C",
    actor_id varchar(64) COLLATE "C",
    trace_id varchar(128) COLLATE "C",
    version integer NOT NULL,
    read_at timestamptz(3),
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL,
    CONSTRAINT notistore_notifications_pkey PRIMARY KEY (id)
);

CREATE INDEX IF NOT EXISTS notistore_notifications_inbox
    ON notistore_notifications (tenant, recipient_type, recipient_id, created_at, id);

CREATE INDEX IF NOT EXISTS notistore_notifications_unread
    ON notistore_notifications (tenant, recipient_type, recipient_id, read_at, created_at, id) WHERE read_at IS NULL;

CREATE INDEX IF NOT EXISTS notistore_notifications_age
    ON notistore_notifications (updated_at, id);
