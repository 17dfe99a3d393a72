//! Messages of `cdc.likes` in the shape that Debezium 3.7 writes with Nova's connector settings.

/// One kind of message, or the mixture of them.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Case {
    /// 82 % creates, 12 % deletes, 3 % updates of a mapped column, 3 % of another.
    Mixed,
    Create,
    /// Without transaction metadata, as the messages of 641 bytes that other tools were measured with.
    Create641,
    UpdateMapped,
    UpdateOther,
    Delete,
    CreateWithSchema,
    DeleteWithSchema,
}

/// A record's key and value.
pub(crate) struct Recorded {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Case {
    pub(crate) const ALL: [Self; 8] = [
        Self::Mixed,
        Self::Create,
        Self::Create641,
        Self::UpdateMapped,
        Self::UpdateOther,
        Self::Delete,
        Self::CreateWithSchema,
        Self::DeleteWithSchema,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Create => "create",
            Self::Create641 => "create, no transaction",
            Self::UpdateMapped => "update, mapped column",
            Self::UpdateOther => "update, other column",
            Self::Delete => "delete",
            Self::CreateWithSchema => "create, schema",
            Self::DeleteWithSchema => "delete, schema",
        }
    }

    /// A hundred messages; each differs from the others.
    pub(crate) fn messages(self) -> Vec<Recorded> {
        (0..100).map(|number| self.of_mixture(number).message(number)).collect()
    }

    fn of_mixture(self, number: u64) -> Self {
        match (self, number % 33) {
            (Self::Mixed, 5 | 12 | 19 | 26) => Self::Delete,
            (Self::Mixed, 10) => Self::UpdateMapped,
            (Self::Mixed, 23) => Self::UpdateOther,
            (Self::Mixed, _) => Self::Create,
            (case, _) => case,
        }
    }

    fn message(self, number: u64) -> Recorded {
        let old = like(number, 1, number);
        let (op, before, after) = match self {
            Self::Mixed | Self::Create | Self::Create641 | Self::CreateWithSchema => ("c", None, Some(old)),
            Self::UpdateMapped => ("u", Some(old), Some(like(number, 2, number))),
            Self::UpdateOther => ("u", Some(old), Some(like(number, 1, number + 1))),
            Self::Delete | Self::DeleteWithSchema => ("d", Some(old), None),
        };
        let image = |image: Option<String>| image.unwrap_or_else(|| "null".to_owned());
        let (before, after) = (image(before), image(after));
        let (lsn, tx) = (23_374_680 + 72 * number, 773 + number);
        let (us, order) = (1_795_253_326_631_253 + number * 1_717, number % 7 + 1);
        let (ms, written) = (us / 1_000, us / 1_000 + 254);
        let commit = lsn - 408;
        let transaction = match self {
            Self::Create641 => "null".to_owned(),
            _ => format!(r#"{{"id":"{tx}:{lsn}","total_order":{order},"data_collection_order":{order}}}"#),
        };
        let payload = format!(
            r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"cdc","ts_ms":{ms},"snapshot":"false","db":"nova","sequence":"[\"{commit}\",\"{lsn}\"]","ts_us":{us},"ts_ns":{us}000,"schema":"public","table":"likes","txId":{tx},"lsn":{lsn},"xmin":null,"origin":null,"origin_lsn":null}},"transaction":{transaction},"op":"{op}","ts_ms":{written},"ts_us":{written}641,"ts_ns":{written}641198}}"#
        );
        let value = match self {
            Self::CreateWithSchema | Self::DeleteWithSchema => {
                format!(r#"{{"schema":{},"payload":{payload}}}"#, schema())
            }
            _ => payload,
        };
        let key = format!(r#"{{"id":"{}"}}"#, uuid(number, 0));
        Recorded { key: key.into_bytes(), value: value.into_bytes() }
    }
}

/// The row of a like; `post` and `posted` are what an update changes.
fn like(number: u64, post: u64, posted: u64) -> String {
    format!(
        r#"{{"id":"{}","post_id":"{}","post_created_at":"2026-11-20T22:13:{:02}.{:06}Z","user_id":"{}","created_at":"2026-11-21T09:{:02}:20.{:06}Z"}}"#,
        uuid(number, 0),
        uuid(number, post),
        posted % 60,
        posted * 7_919 % 1_000_000,
        uuid(number, 3),
        number % 60,
        number * 104_729 % 1_000_000,
    )
}

/// A version 7 UUID's text.
fn uuid(number: u64, salt: u64) -> String {
    let mixed = (number * 4 + salt + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "0190a5b2-{:04x}-7{:03x}-8{:03x}-{:012x}",
        mixed >> 48,
        mixed >> 36 & 0xfff,
        mixed >> 24 & 0xfff,
        mixed & 0xffff_ffff_ffff
    )
}

/// The schema that the JSON converter embeds with `schemas.enable=true`.
fn schema() -> String {
    let column = |name: &str, semantic: &str| {
        format!(r#"{{"type":"string","optional":false,"name":"{semantic}","version":1,"field":"{name}"}}"#)
    };
    let (id, time) = ("io.debezium.data.Uuid", "io.debezium.time.ZonedTimestamp");
    let columns = [
        column("id", id),
        column("post_id", id),
        column("post_created_at", time),
        column("user_id", id),
        column("created_at", time),
    ];
    let row = |part: &str| {
        format!(
            r#"{{"type":"struct","fields":[{}],"optional":true,"name":"cdc.public.likes.Value","field":"{part}"}}"#,
            columns.join(",")
        )
    };
    let plain = |kind: &str, name: &str| format!(r#"{{"type":"{kind}","optional":true,"field":"{name}"}}"#);
    let block = |name: &str, part: &str, fields: &[(&str, &str)]| {
        let fields: Vec<String> = fields.iter().map(|(kind, name)| plain(kind, name)).collect();
        format!(
            r#"{{"type":"struct","fields":[{}],"optional":true,"name":"{name}","version":1,"field":"{part}"}}"#,
            fields.join(",")
        )
    };
    let source = block("io.debezium.connector.postgresql.Source", "source", &SOURCE_FIELDS);
    let order = [("string", "id"), ("int64", "total_order"), ("int64", "data_collection_order")];
    let transaction = block("event.block", "transaction", &order);
    let tail = [("string", "op"), ("int64", "ts_ms"), ("int64", "ts_us"), ("int64", "ts_ns")];
    let tail: Vec<String> = tail.iter().map(|(kind, name)| plain(kind, name)).collect();
    format!(
        r#"{{"type":"struct","fields":[{},{},{source},{transaction},{}],"optional":false,"name":"cdc.public.likes.Envelope","version":2}}"#,
        row("before"),
        row("after"),
        tail.join(",")
    )
}

const SOURCE_FIELDS: [(&str, &str); 16] = [
    ("string", "version"),
    ("string", "connector"),
    ("string", "name"),
    ("int64", "ts_ms"),
    ("string", "snapshot"),
    ("string", "db"),
    ("string", "sequence"),
    ("int64", "ts_us"),
    ("int64", "ts_ns"),
    ("string", "schema"),
    ("string", "table"),
    ("int64", "txId"),
    ("int64", "lsn"),
    ("int64", "xmin"),
    ("string", "origin"),
    ("int64", "origin_lsn"),
];
