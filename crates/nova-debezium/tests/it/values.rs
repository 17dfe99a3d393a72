//! What each PostgreSQL value becomes under every recorded configuration.

use crate::support::{CONFIGURATIONS, Recorded, recorded};
use nova_debezium::{BytesEncoding, Field, Op, Row, TimeUnit, ValueErrorKind};

const FULL: &str = "6f1f9d2c-6b1e-4d0e-9c49-0a4b6b1f2d3e";

/// Runs `check` on the image of the row of `everything` with this id, as inserted.
fn inserted(configuration: &str, id: &str, check: impl FnOnce(&Row<'_>)) {
    let records = recorded(configuration);
    let change = records.iter().filter_map(Recorded::change).map(|event| event.payload).find(|change| {
        change.source.table == "everything"
            && change.op == Op::Create
            && change.after.as_ref().unwrap().get("id", 0).unwrap().text().unwrap() == id
    });
    check(change.unwrap().after.as_ref().unwrap());
}

fn readable() -> impl Iterator<Item = &'static str> {
    CONFIGURATIONS.into_iter().map(|(name, _)| name).filter(|name| !name.contains("structured"))
}

fn field<'r, 'a>(row: &'r Row<'a>, name: &str) -> &'r Field<'a> {
    row.get(name, 0).unwrap()
}

#[test]
fn values_that_no_setting_changes() {
    for name in readable() {
        inserted(name, FULL, |row| {
            let text = |column: &str| field(row, column).text().unwrap().into_owned();
            assert_eq!(field(row, "id").uuid().unwrap().to_string(), FULL);
            assert_eq!(field(row, "c_int2").integer(), Ok(-32_768));
            assert_eq!(field(row, "c_int4").integer(), Ok(2_147_483_647));
            assert_eq!(field(row, "c_int8").integer(), Ok(i128::from(i64::MIN)));
            assert_eq!((field(row, "c_real").float(), field(row, "c_double").float()), (Ok(1.5), Ok(0.1)));
            assert_eq!(field(row, "c_bool").boolean(), Ok(true));
            assert_eq!(text("c_text"), "tab\there \"quoted\" back\\slash, newline\n, ü 漢字 🚀");
            assert_eq!(text("c_varchar"), "varchar");
            assert_eq!(text("c_char"), "abc  ");
            assert_eq!(text("c_citext"), "CiText");
            assert_eq!(text("c_mood"), "happy");
            assert_eq!(text("c_xml"), r#"<a b="c">d</a>"#);
            assert_eq!(text("c_json"), r#"{"k": [1, 2.50, null]}"#);
            assert_eq!(text("c_jsonb"), r#"{"k": [1, 2.50, null]}"#);
            assert_eq!(text("c_inet"), "192.168.0.1/24");
            assert_eq!(field(row, "c_timestamptz").timestamp_micros(None), Ok(1_709_251_199_123_456));
            assert_eq!(field(row, "c_timestamptz_0").timestamp_micros(None), Ok(1_709_231_399_000_000));
            assert_eq!(field(row, "c_date").date_days(), Ok(19_782));
            assert_eq!(field(row, "c_timetz").time_micros(None), Ok(79_199_123_456));
        });
    }
}

#[test]
fn timestamps_and_times_by_mode() {
    use TimeUnit::{Micros, Millis, Nanos};
    // Configuration; units of timestamp, timestamp(0), timestamp(3), timestamp(6), time, time(3); whole micros kept.
    let modes = [
        ("plain-precise-adaptive-bytes", Some([Micros, Millis, Millis, Micros, Micros, Millis]), true),
        ("schema-precise-adaptive-bytes", None, true),
        ("plain-string-isostring-base64", None, true),
        ("schema-precise-isostring-numeric", None, true),
        ("schema-string-connect-base64", None, false),
        ("plain-precise-connect-bytes", Some([Millis; 6]), false),
        ("plain-double-microseconds-hex", Some([Micros; 6]), true),
        ("schema-double-nanoseconds-hex", None, true),
        ("plain-string-timemicros-urlsafe", Some([Micros, Millis, Millis, Micros, Micros, Micros]), true),
    ];
    for (name, units, micros_kept) in modes {
        let unit = |at: usize| units.map(|units| units[at]);
        let kept = |micros: i64| if micros_kept { micros } else { micros / 1_000 * 1_000 };
        inserted(name, FULL, |row| {
            let timestamp = |column, at| field(row, column).timestamp_micros(unit(at)).unwrap();
            assert_eq!(timestamp("c_timestamp", 0), kept(1_709_251_199_123_456), "{name}");
            assert_eq!(timestamp("c_timestamp_0", 1), 1_709_251_199_000_000, "{name}");
            assert_eq!(timestamp("c_timestamp_3", 2), 1_709_251_199_123_000, "{name}");
            assert_eq!(timestamp("c_timestamp_6", 3), kept(1_709_251_199_123_456), "{name}");
            let time = |column, at| field(row, column).time_micros(unit(at)).unwrap();
            assert_eq!(
                (time("c_time", 4), time("c_time_3", 5)),
                (kept(86_399_123_456), 86_399_123_000),
                "{name}"
            );
            if units.is_some() {
                let error = field(row, "c_timestamp").timestamp_micros(None).unwrap_err();
                assert_eq!(error.path, "after.c_timestamp");
                assert!(matches!(error.kind, ValueErrorKind::UnitUnknown { .. }), "{error}");
            } else {
                // The message itself says the unit; a wrong declaration does not count.
                assert_eq!(
                    field(row, "c_timestamp_0").timestamp_micros(Some(Nanos)),
                    Ok(1_709_251_199_000_000)
                );
            }
        });
    }
}

#[test]
fn decimals_by_mode() {
    for name in readable() {
        inserted(name, FULL, |row| {
            let (free, fixed, money) =
                (field(row, "c_numeric"), field(row, "c_numeric_10_2"), field(row, "c_money"));
            let exact = if name.contains("double") {
                12_345_678_901_234_567_000_000_000_000
            } else {
                12_345_678_901_234_567_890_123_456_789
            };
            assert_eq!(free.decimal(9), Ok(exact), "{name}");
            if name.starts_with("plain-precise") {
                let error = fixed.decimal(2).unwrap_err().to_string();
                assert!(error.contains("decimal.handling.mode=string"), "{error}");
                return;
            }
            assert_eq!(fixed.decimal(2), Ok(-1_234_567_890), "{name}");
            assert_eq!(fixed.decimal(1), Ok(-123_456_789), "{name}");
            assert!(
                matches!(fixed.decimal(0).unwrap_err().kind, ValueErrorKind::LostDigits { .. }),
                "{name}"
            );
            assert!(matches!(fixed.decimal(38).unwrap_err().kind, ValueErrorKind::Overflow { .. }), "{name}");
            assert_eq!(money.decimal(4), Ok(12_345_600), "{name}");
            let elements = field(row, "c_numerics").elements().unwrap();
            let decimals: Vec<_> = elements.iter().map(|element| element.decimal(2).unwrap()).collect();
            assert_eq!(decimals, [125, -1], "{name}");
        });
    }
}

#[test]
fn bytes_by_mode() {
    for name in readable() {
        let encoding = match name.rsplit('-').next() {
            Some("hex") => Some(BytesEncoding::Hex),
            Some("urlsafe") => Some(BytesEncoding::Base64UrlSafe),
            Some("base64") => Some(BytesEncoding::Base64),
            _ => None,
        };
        inserted(name, FULL, |row| {
            let bytes = field(row, "c_bytea").bytes(encoding).unwrap();
            assert_eq!(bytes, [0x00, 0xff, 0x10, 0xfb, 0xff, 0x3e, 0x3f], "{name}");
        });
    }
}

#[test]
fn arrays() {
    for name in readable() {
        inserted(name, FULL, |row| {
            let texts = field(row, "c_texts").elements().unwrap();
            assert_eq!((texts[0].text().unwrap(), texts[2].text().unwrap()), ("a".into(), r#"b "c""#.into()));
            assert!(texts[1].is_null());
            let error = texts[1].text().unwrap_err();
            assert!(error.path.ends_with("after.c_texts[1]"), "{error}");
            let ints = field(row, "c_ints").elements().unwrap();
            assert_eq!((ints[0].integer(), ints[2].integer()), (Ok(1), Ok(-3)));
            assert_eq!(field(row, "c_uuids").elements().unwrap()[0].uuid().unwrap().to_string(), FULL);
            let times = field(row, "c_timestamptzs").elements().unwrap();
            assert_eq!(times[0].timestamp_micros(None), Ok(1_709_251_199_123_456));
            assert!(field(row, "c_text").elements().is_err());
        });
    }
}

#[test]
fn special_numbers() {
    for name in ["plain-precise-adaptive-bytes", "plain-double-microseconds-hex"] {
        let both = |id: &str, check: fn(f64) -> bool| {
            inserted(name, id, |row| {
                assert!(
                    check(field(row, "c_real").float().unwrap())
                        && check(field(row, "c_double").float().unwrap())
                );
            });
        };
        both("00000000-0000-4000-8000-000000000010", f64::is_nan);
        both("00000000-0000-4000-8000-000000000011", |number| number == f64::INFINITY);
        both("00000000-0000-4000-8000-000000000012", |number| number == f64::NEG_INFINITY);
    }
}

#[test]
fn far_and_infinite_times() {
    for name in readable() {
        let unit = Some(if name.contains("precise-connect") { TimeUnit::Millis } else { TimeUnit::Micros });
        inserted(name, "00000000-0000-4000-8000-000000000022", |row| {
            let christ = -63_517_780_800_000_000;
            assert_eq!(field(row, "c_timestamptz").timestamp_micros(None), Ok(christ), "{name}");
            assert_eq!(field(row, "c_date").date_days(), Ok(-735_160), "{name}");
            if name.contains("nanoseconds") {
                // Debezium cannot write it in nanoseconds and writes NULL.
                assert!(field(row, "c_timestamp").is_null());
            } else {
                assert_eq!(field(row, "c_timestamp").timestamp_micros(unit), Ok(christ), "{name}");
            }
        });
        inserted(name, "00000000-0000-4000-8000-000000000023", |row| {
            let millis = Some(if name.contains("double") { TimeUnit::Micros } else { TimeUnit::Millis });
            for (column, unit) in [("c_timestamptz", None), ("c_timestamp", unit), ("c_timestamp_3", millis)]
            {
                let error = field(row, column).timestamp_micros(unit).unwrap_err();
                assert!(matches!(error.kind, ValueErrorKind::Infinite { .. }), "{name}: {error}");
            }
            let error = field(row, "c_date").date_days().unwrap_err();
            assert!(matches!(error.kind, ValueErrorKind::Infinite { .. }), "{name}: {error}");
        });
    }
}

#[test]
fn unchanged_toast_values_are_unavailable_in_every_form() {
    for name in readable() {
        let records = recorded(name);
        let change = records.iter().filter_map(Recorded::change).map(|event| event.payload);
        let update =
            change.filter(|change| change.source.table == "toasted").find(|change| change.op == Op::Update);
        let update = update.unwrap();
        for field in update.after.as_ref().unwrap().fields() {
            // Debezium writes NULL for a bytea in its base64 modes.
            let lost = field.name() == "b" && (name.ends_with("base64") || name.ends_with("urlsafe"));
            let sent = matches!(field.name(), "id" | "n");
            assert_eq!(field.is_unavailable(), !sent && !lost, "{name}: {}: {}", field.name(), field.raw());
            assert_eq!(field.is_null(), lost, "{name}: {}", field.name());
            if field.is_unavailable() {
                let error = field.elements().unwrap_err();
                assert_eq!(error.kind, ValueErrorKind::Unavailable);
            }
        }
    }
}

#[test]
fn the_schema_describes_the_columns() {
    inserted("schema-precise-adaptive-bytes", FULL, |row| {
        let schema = |column: &str| field(row, column).schema().unwrap().clone();
        assert_eq!(schema("c_int2").connect_type(), "int16");
        assert_eq!(schema("c_timestamp").semantic_name(), Some("io.debezium.time.MicroTimestamp"));
        assert_eq!(schema("c_numeric_10_2").scale(), Some(2));
        assert_eq!(schema("c_mood").parameters(), Some(r#"{"allowed":"sad,ok,happy"}"#));
        let error = field(row, "c_date").timestamp_micros(Some(TimeUnit::Millis)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "payload.after.c_date: expected a timestamp, but the schema says io.debezium.time.Date"
        );
    });
    inserted("plain-precise-adaptive-bytes", FULL, |row| assert!(field(row, "id").schema().is_none()));
}

#[test]
fn structured_times_are_refused() {
    inserted("schema-string-structured-bytes", FULL, |row| {
        let error = field(row, "c_timestamptz").timestamp_micros(None).unwrap_err();
        assert_eq!(error.path, "payload.after.c_timestamptz");
        assert!(matches!(error.kind, ValueErrorKind::Type { .. }), "{error}");
    });
}
