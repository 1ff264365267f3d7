"""The tables, the same on SQLite and PostgreSQL. Times are Unix seconds, UTC; JSON columns hold text.

`step` is the journal. `call` caches the fold for lists and is never read by the pipeline. Migrations under
`migrations/` make these tables; a test compares the two.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import BigInteger

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts a rowid only in a column of exactly INTEGER; PostgreSQL wants 64 bits.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


#: One row: what the schema's users watch. `version` rises with every `apply`.
config = Table(
    "config",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    #: 32 random bytes, sealed: opens with the right key only. Fingerprints are keyed by them.
    Column("check_value", LargeBinary),
    #: Set in a copy that `backup` made: of calls first seen until then, the original may have written more since.
    Column("restored_at", Double),
)

tenant = Table(
    "tenant",
    metadata,
    _id(),
    Column("sid", String(128), nullable=False, unique=True),
    #: JSON of what the tenant's file says beside secrets and connections: region, country, time_zone, ...
    Column("settings", Text, nullable=False),
    #: Sealed JSON: api_key, api_token, hook_token
    Column("secrets", LargeBinary, nullable=False),
    #: JSON: secret's name -> keyed hash of the file's value at the last apply; a rotated token is not put back.
    Column("applied", Text, nullable=False, server_default="{}"),
    Column("hook_token_hash", String(64), nullable=False, unique=True),
    #: `config.version` as of the last change of this tenant or its connections.
    Column("version", BigInteger, nullable=False, server_default=text("0"), index=True),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False, index=True),
    #: Keyed hash of what makes two credentials one (client id and refresh token; else the key itself).
    Column("identity", String(64), nullable=False, unique=True),
    #: Sealed JSON of the secret settings; for OAuth also the tokens as last refreshed.
    Column("sealed", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("expires_at", Double),
    Column("owner", String(64)),
    Column("lease_until", Double),
)

connection = Table(
    "connection",
    metadata,
    #: Short and never changed: it stands in the keys that are left in the CRM.
    Column("id", String(16), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("adapter", String(64), nullable=False),
    #: Host and organisation in the CRM: quota, circuit and pause belong to it.
    Column("account", String(255), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("credential_id", ForeignKey("credential.id"), nullable=True),
    Column("applied", Text, nullable=False, server_default="{}"),
    #: Number of the revision in force.
    Column("revision", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)

#: Settings and options as they were applied, numbered per connection: what a delivery follows, and the audit trail.
revision = Table(
    "revision",
    metadata,
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    #: JSON of the settings that are no secrets
    Column("settings", Text, nullable=False),
    #: JSON of the options as written, defaults left out
    Column("options", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", String(128), nullable=False),
)

agent = Table(
    "agent",
    metadata,
    _id(),
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), nullable=False),
    Column("crm_id", String(128), nullable=False),
    Column("name", String(255), nullable=False, server_default=""),
    Column("email", String(255)),
    #: E.164 or `sip:…`
    Column("phone", String(255)),
    Column("caller_id", String(64)),
    Column("outbound", Boolean, nullable=False, server_default=text("false")),
    #: JSON: further ids of the same user
    Column("ids", Text, nullable=False, server_default="{}"),
    #: Who wrote the row last: file, import, sync. Each leaves the rows of those before it alone.
    Column("origin", String(8), nullable=False, server_default="file"),
    UniqueConstraint("connection_id", "crm_id"),
)

call = Table(
    "call",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    #: Null while a Connect of ours is unsure.
    Column("call_sid", String(128)),
    Column("created_at", Double, nullable=False),
    #: The cached fold, written when a delivery is planned: JSON, and what lists are filtered by.
    Column("summary", Text),
    Column("customer", String(255)),
    #: When the call began by Exotel's own record; null while no Call Details named it.
    Column("billed_at", Double),
    UniqueConstraint("tenant_id", "call_sid"),
    Index("ix_call_tenant_id_created_at", "tenant_id", "created_at"),
    Index(
        "ix_call_tenant_id_customer",
        "tenant_id",
        "customer",
        "created_at",
        sqlite_where=text("customer is not null"),
        postgresql_where=text("customer is not null"),
    ),
    Index(
        "ix_call_billed",
        "tenant_id",
        "billed_at",
        sqlite_where=text("billed_at is not null"),
        postgresql_where=text("billed_at is not null"),
    ),
)

#: What calls still lack, and when Exotel is asked for it. A call that lacks nothing has no row.
look = Table(
    "look",
    metadata,
    Column("call_id", ForeignKey("call.id", ondelete="CASCADE"), primary_key=True),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    #: Comma-separated: outcome, end, talk, recording, voicemail (the recording of one)
    Column("lacks", String(64), nullable=False),
    #: The call's last event, which the times of the looks count from.
    Column("since", Double, nullable=False),
    #: Looks that are over.
    Column("stage", Integer, nullable=False, server_default=text("0")),
    #: Null: never again.
    Column("due_at", Double),
    Index(
        "ix_look_due",
        "tenant_id",
        "due_at",
        sqlite_where=text("due_at is not null"),
        postgresql_where=text("due_at is not null"),
    ),
)

#: Spans of Exotel's time that are gone through: the hourly one of each tenant, which never ends, backfills, and what
#: people ask for. Progress is kept, so that whoever goes on begins where the last one was.
sweep = Table(
    "sweep",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    #: hourly; backfill; due (what is due, now), now (all looks, whatever their time)
    Column("kind", String(16), nullable=False),
    #: open, done
    Column("state", String(8), nullable=False),
    Column("from_at", Double, nullable=False),
    #: Of the hourly one: how far it goes this time; null between two.
    Column("until_at", Double),
    #: Every call that began before was seen.
    Column("done_at", Double, nullable=False),
    #: When Exotel answered last, looks included; hourly only.
    Column("answered_at", Double),
    #: What is in the way; null: nothing.
    Column("trouble", Text),
    #: Records read, and calls among them that nothing had told of.
    Column("found", Integer, nullable=False, server_default=text("0")),
    Column("made", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index("ix_sweep_open", "tenant_id", "state", "kind"),
)

#: What was found of a day's calls: totals that outlive the calls. An empty connection id is the tenant as a whole.
day_total = Table(
    "day_total",
    metadata,
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
    #: 2026-01-31, in the tenant's zone
    Column("day", String(10), primary_key=True),
    Column("connection_id", String(16), primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("written", Integer, nullable=False),
    Column("not_due", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    #: JSON: {"not_due": {words: calls}, "missing": {words: calls}}
    Column("reasons", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

#: A call that we were asked to place. The row is there before Exotel hears of it, so that none is placed twice; the
#: call's own row follows once its CallSid is known, by whichever way that comes first.
placement = Table(
    "placement",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    #: Its public id, and the CustomField that Exotel tells us in its callbacks.
    Column("token", String(32), nullable=False, unique=True),
    Column("connection_id", ForeignKey("connection.id", ondelete="SET NULL")),
    #: The agent's id in the CRM
    Column("agent", String(128), nullable=False),
    #: From, To and CallerId: E.164, the agent's may be `sip:…`
    Column("agent_number", String(255), nullable=False),
    Column("customer", String(255), nullable=False),
    Column("caller_id", String(64), nullable=False),
    #: The user's own.
    Column("custom_field", Text),
    #: The client's key for one wish, and the hash of what was wished: asked again, it gets the same answer.
    Column("idempotency_key", String(255)),
    Column("asked", String(64), nullable=False),
    #: placing, placed, unknown, refused, not_placed
    Column("state", String(16), nullable=False),
    Column("call_sid", String(128)),
    #: JSON {"code", "message", "field"}: why it was refused.
    Column("refusal", Text),
    #: When it is looked for at Exotel next, and until when somebody does.
    Column("look_at", Double),
    Column("lease_until", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("tenant_id", "call_sid"),
    UniqueConstraint("tenant_id", "idempotency_key"),
    Index("ix_placement_tenant_id_created_at", "tenant_id", "created_at"),
    Index(
        "ix_placement_look_at",
        "look_at",
        sqlite_where=text("look_at is not null"),
        postgresql_where=text("look_at is not null"),
    ),
)

event = Table(
    "event",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    Column("call_id", ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    #: exotel, details, connect, agent
    Column("source", String(16), nullable=False, server_default="exotel"),
    #: Set where the event concerns one connection only.
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE")),
    #: The word of the URL: a kind, or a dialect's word for one.
    Column("kind", String(64), nullable=False),
    #: Hash of tenant, kind and the sorted decoded parameters: an identical request is stored once. Unique within its
    #: call, whose CallSid is one of the parameters: an index that is written where the call's rows are.
    Column("dedup", String(40), nullable=False),
    Column("method", String(8), nullable=False),
    Column("query", Text, nullable=False),
    Column("content_type", String(255)),
    Column("body", LargeBinary),
    Column("received_at", Double, nullable=False),
    UniqueConstraint("call_id", "dedup"),
    # Orders to record a call, which somebody has to carry out.
    Index(
        "ix_event_recording",
        "received_at",
        sqlite_where=text("kind in ('record_start', 'record_stop')"),
        postgresql_where=text("kind in ('record_start', 'record_stop')"),
    ),
)

#: What became of an order to record a call, or to stop: the event is the order, made durable as every other. An order
#: without a row is open.
recording_order = Table(
    "recording_order",
    metadata,
    Column("event_id", ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    #: pending, done, failed
    Column("state", String(8), nullable=False),
    #: pending: what the last try met; failed: why it was given up
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Double, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("updated_at", Double, nullable=False),
)

#: The fate of a text message, as older versions kept it: nothing is written any more, retention deletes what is old.
text_message = Table(
    "text_message",
    metadata,
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
    Column("sms_sid", String(128), primary_key=True),
    #: queued, sending, submitted, sent, failed, failed-dnd
    Column("status", String(32)),
    #: Exotel's word and number for it: `DELIVERED_TO_HANDSET`, 20005
    Column("detailed_status", String(255)),
    Column("detailed_status_code", Integer),
    Column("custom_field", Text),
    Column("sent_at", Double),
    Column("updated_at", Double, nullable=False),
)

#: A caller as a record of one connection's CRM; shared by all calls of the number.
contact = Table(
    "contact",
    metadata,
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True),
    #: `Caller.key`
    Column("number", String(255), primary_key=True),
    #: started, done; a row in `started` without a live lease is an unsure write.
    Column("state", String(16), nullable=False),
    Column("kind", String(16)),
    Column("ref_id", String(255)),
    Column("url", Text),
    Column("owner", String(64)),
    Column("lease_until", Double),
    #: After this time an empty look-up by key proves that the write had no effect.
    Column("settle_at", Double),
    #: Why this contact was taken among several.
    Column("note", Text),
    Column("updated_at", Double, nullable=False),
    Index(
        "ix_contact_owner",
        "owner",
        sqlite_where=text("owner is not null"),
        postgresql_where=text("owner is not null"),
    ),
)

delivery = Table(
    "delivery",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    Column("call_id", ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), nullable=False),
    #: pending, done, dead
    Column("state", String(8), nullable=False),
    #: pending: running, retrying, quota, paused, waiting; dead: rejected, unsure, expired, bug
    Column("reason", String(16)),
    #: Rises with every event; a finish that names an older one is not the last word.
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    #: 1 missed and voicemail, 2 logs and tickets, 3 recordings and late looks
    Column("priority", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    #: When the newest event wants a finished delivery to be looked at.
    Column("reopen_at", Double),
    Column("owner", String(64)),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_until", Double),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    #: Seconds of waiting between retries so far; past 28 h the delivery is dead.
    Column("retried_s", Double, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    #: JSON list of what a person should know: parts left out, how a contact was chosen.
    Column("warnings", Text, nullable=False, server_default="[]"),
    #: The connection's revision at the first plan.
    Column("revision", Integer),
    #: A replay asked for: JSON {"recreate": bool}
    Column("replay", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # By call first: new rows come side by side, and a call's deliveries are found by it.
    UniqueConstraint("call_id", "connection_id"),
    Index(
        "ix_delivery_due",
        "connection_id",
        "priority",
        "due_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_delivery_dead",
        "tenant_id",
        "updated_at",
        sqlite_where=text("state = 'dead'"),
        postgresql_where=text("state = 'dead'"),
    ),
    Index(
        "ix_delivery_owner",
        "owner",
        sqlite_where=text("owner is not null"),
        postgresql_where=text("owner is not null"),
    ),
)

step = Table(
    "step",
    metadata,
    Column("delivery_id", ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    #: started, failed (nothing was written, to be tried again), done, adopted, gone, dead, skipped (a file that does
    #: not come, for the reason in `warning`)
    Column("state", String(8), nullable=False),
    #: dead: rejected or unsure; adopted: open, where the policy chose the record and no person did
    Column("reason", String(16)),
    #: create or update: what `started` stands for.
    Column("doing", String(8)),
    Column("ref_id", String(255)),
    Column("url", Text),
    #: Hash of the entry last written.
    Column("written", String(64)),
    #: JSON of the entry last written: what was sent.
    Column("sent", Text),
    #: Subject last written: an update leaves a record that a person renamed.
    Column("subject", Text),
    Column("started_at", Double),
    #: After this time an empty look-up by key proves that the write had no effect.
    Column("settle_at", Double),
    #: Parts of the entry that the CRM refused and that are left out (JSON list).
    Column("left_out", Text, nullable=False, server_default="[]"),
    Column("warning", Text),
    Column("error", Text),
    #: The delivery's version when this row was written: a dead step is tried again once something newer came.
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("updated_at", Double, nullable=False),
)

#: What the account allows: pause, circuit and ramp-up outlive a restart and are the same for all replicas.
gate = Table(
    "gate",
    metadata,
    Column("account", String(255), primary_key=True),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text),
    #: Next probe of a paused account.
    Column("probe_at", Double),
    #: Somebody probes it now, and is given up after this time.
    Column("probing_until", Double),
    #: Circuit: nothing is sent before this time.
    Column("open_until", Double),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    #: Deliveries that may run at once while work comes back after a fault; null: no fault.
    Column("ramp", Integer),
    #: JSON: bucket -> what headers last told
    Column("quota", Text, nullable=False, server_default="{}"),
    #: Rises with every write; a write that names an older one is refused.
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("updated_at", Double, nullable=False, index=True),
)

#: What replicas spend of an account's quotas, and hold of them for a moment; one process counts in memory instead.
quota = Table(
    "quota",
    metadata,
    Column("account", String(255), primary_key=True),
    Column("bucket", String(64), primary_key=True),
    #: JSON of a `window.Window`; empty for an instant, in the transaction that makes it
    Column("state", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
)

#: Processes that live on this store; one that was not seen for a while is dead.
replica = Table(
    "replica",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("seen_at", Double, nullable=False),
)

#: Periodic jobs, as `retention:exotel535`: who runs one now, and when it is due next on whichever process is free.
lease = Table(
    "lease",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owner", String(64)),
    Column("lease_until", Double),
    Column("due_at", Double, nullable=False, server_default=text("0")),
)

#: The newest popup per call and agent, for the agents' browsers.
popup = Table(
    "popup",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    Column("call_id", ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("agent", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("customer", String(255)),
    Column("exophone", String(64)),
    Column("at", Double, nullable=False),
    UniqueConstraint("call_id", "agent"),
    Index("ix_popup_tenant_id_agent_at", "tenant_id", "agent", "at"),
)

recording = Table(
    "recording",
    metadata,
    _id(),
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), nullable=False),
    Column("call_id", ForeignKey("call.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    #: unknown, ready, missing
    Column("state", String(16), nullable=False),
    Column("size", BigInteger),
    Column("checked_at", Double),
    Column("revoked_at", Double),
    #: What our link names it by: 32 hex digits that nobody can guess.
    Column("name", String(32)),
    #: The key that our link was signed with when it was first written: it stays so while the key is listed.
    Column("key_id", String(16)),
    #: When Exotel promised the file.
    Column("available_by", Double),
    UniqueConstraint("call_id", "url"),
    Index("ix_recording_name", "name", unique=True),
    # With the id behind it: a tenant's newest are listed.
    Index("ix_recording_tenant_id_id", "tenant_id", "id"),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    Column("at", Double, nullable=False, index=True),
    #: user name, `cli` or `api:<token id>`
    Column("who", String(128), nullable=False),
    Column("what", String(64), nullable=False),
    Column("tenant_id", _Id),
    #: JSON without secrets
    Column("detail", Text, nullable=False, server_default="{}"),
    # What retention has not emptied yet.
    Index(
        "ix_audit_detail",
        "tenant_id",
        "at",
        sqlite_where=text("detail <> '{}'"),
        postgresql_where=text("detail <> '{}'"),
    ),
)

user = Table(
    "user",
    metadata,
    _id(),
    Column("name", String(128), nullable=False, unique=True),
    #: Null: an operator, who sees every tenant.
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE")),
    Column("created_at", Double, nullable=False),
)

api_token = Table(
    "api_token",
    metadata,
    _id(),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", String(64), nullable=False, unique=True),
    #: Comma-separated: read, replay, call, numbers
    Column("scopes", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

#: What retention leaves of a call for a connection, for 210 days: nothing is written for it a second time. One row per
#: record; `ref_id` is null where the CRM never said whether it has it. A call that nothing was to be written for leaves
#: one row with an empty slot, of kind `none`.
tombstone = Table(
    "tombstone",
    metadata,
    Column("tenant_id", ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True),
    Column("call_sid", String(128), primary_key=True),
    Column("connection_id", String(16), primary_key=True),
    Column("slot", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("ref_id", String(255)),
    Column("url", Text),
    Column("made_at", Double, nullable=False, index=True),
    #: When the call was first heard of.
    Column("call_at", Double),
)

# --- the local desk: a help desk of our own behind /desk/v1, kept apart from the pipeline's tables ---

desk_contact = Table(
    "desk_contact",
    metadata,
    _id(),
    Column("connection_id", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("phone", String(255), nullable=False),
    Column("external_ref", String(255), nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("connection_id", "external_ref"),
    Index("ix_desk_contact_phone", "connection_id", "phone"),
)

desk_ticket = Table(
    "desk_ticket",
    metadata,
    _id(),
    Column("connection_id", String(16), nullable=False),
    Column("contact_id", ForeignKey("desk_contact.id"), nullable=False, index=True),
    Column("external_ref", String(255), nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False, server_default="open"),
    Column("assignee", String(128)),
    #: JSON: the tenant's own fields
    Column("fields", Text, nullable=False, server_default="{}"),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("connection_id", "external_ref"),
)

desk_note = Table(
    "desk_note",
    metadata,
    _id(),
    Column("ticket_id", ForeignKey("desk_ticket.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("external_ref", String(255), nullable=False),
    Column("body", Text, nullable=False),
    Column("private", Boolean, nullable=False, server_default=text("true")),
    Column("author", String(128)),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("ticket_id", "external_ref"),
)
