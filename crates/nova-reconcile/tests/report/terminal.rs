//! The report as text, as it stands on a terminal.

use nova_reconcile::render::{self, Style};
use nova_reconcile::{Scope, Verdict};

use crate::samples;

#[test]
fn short_where_all_is_well() {
    let text = render::text(&samples::well(), Style::PLAIN);
    assert!(text.starts_with("ClickHouse equals PostgreSQL: 17,944 rows in 4 streams\n"), "{text}");
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(
        text.contains(
            "  likes     5,901 rows  48 windows  as of 00:00:00 at 16/B374D848  waited 410 ms  equal"
        )
    );
}

#[test]
fn what_was_out_of_scope_is_said_in_text_and_on_the_page() {
    let mut report = samples::well();
    report.streams[0].note = Some("7 rows <of> days that the outbox no longer has".to_owned());
    let text = render::text(&report, Style::PLAIN);
    assert!(text.contains("7 rows <of> days"), "{text}");
    assert!(render::html(&report).contains("7 rows &lt;of&gt; days"));
}

#[test]
fn trouble_names_the_keys_both_sides_and_what_to_do() {
    let text = render::text(&samples::trouble(), Style::PLAIN);
    let parts = [
        "35 differences in 2 of 4 streams, 1 of them explained by dead letters; not compared to the end: follows",
        "DIFFERENT: 30 missing, 2 extra, 1 doubled, 1 different",
        "follows was not compared to the end: statement_timeout of 30 s",
        "likes: 30 missing (PostgreSQL has it, ClickHouse lacks it)",
        "  and 25 more",
        "    ClickHouse  +2 x dwell_time_ms=0",
        "    from        cdc.likes/3/40033, cdc.likes/3/40034",
        "explained   dead letter cdc.comments/1/77120: payload.after.created_at",
        "user_id: PostgreSQL 0190a5b2-7c1d-7e3f-8a4b-0000000007f2, ClickHouse 0190a5b2-7c1d-7e3f-8a4b-0000000007f3",
        "dwell_time_ms: PostgreSQL 0, ClickHouse NULL",
        "  nova reconcile --stream likes -o json > report.json\n  nova repair plan --report report.json",
        "  nova reconcile --stream follows\n",
    ];
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let strip = text.lines().find(|line| line.starts_with("  likes ") && line.contains("..x")).unwrap();
    assert!(strip.contains("x+") && strip.contains('1'), "{strip}");
    assert!(
        text.lines().any(|line| line.starts_with("  follows ") && line.ends_with("????????????")),
        "{text}"
    );
}

#[test]
fn plain_text_is_ascii_and_hostile_values_stay_text() {
    let text = render::text(&samples::trouble(), Style::PLAIN);
    assert!(text.is_ascii(), "{}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
    assert!(!text.contains('\u{1b}'));
    let colour = render::text(&samples::trouble(), Style { unicode: true, colour: true, ..Style::PLAIN });
    let ours = ["0m", "1m", "2m", "31m", "33m", "34m", "35m", "36m"];
    for rest in colour.split('\u{1b}').skip(1) {
        assert!(ours.iter().any(|code| rest.starts_with(&format!("[{code}"))), "{rest}");
    }
    assert!(
        !colour.contains("31m\nDROP")
            && !colour.contains("\u{1b}[31m\\nDROP")
            && !colour.contains('\u{202e}')
    );
    assert!(colour.contains('▁') && colour.contains('░') && colour.contains('▇'));
}

#[test]
fn a_huge_report_fits_on_screens_and_says_what_it_leaves_out() {
    let text = render::text(&samples::huge(), Style { width: 80, ..Style::PLAIN });
    assert!(text.lines().count() < 300, "{}", text.lines().count());
    let strips = text.lines().filter(|line| line.starts_with("  stream_") && !line.contains("rows"));
    assert!(strips.clone().count() >= 20 && strips.clone().all(|line| line.len() <= 80));
    assert!(text.contains("Not all differing keys are listed: raise --max-listed"));
}

#[test]
fn nothing_at_all_and_nothing_but_a_failure() {
    let mut report = samples::well();
    report.scope = Scope { since_ms: Some(samples::DAY), until_ms: None, incremental: true };
    report.streams.truncate(1);
    report.streams[0].verdict = Verdict::Incomplete;
    report.streams[0].reason = Some("no connection".to_owned());
    report.streams[0].snapshots.clear();
    report.streams[0].windows.clear();
    let text = render::text(&report, Style::PLAIN);
    assert!(text.starts_with("Not compared to the end: comments; no difference so far\n"), "{text}");
    assert!(
        text.contains("rows since 2026-11-20 00:00:00 UTC, only windows touched since the last good run")
    );
    assert!(text.contains("no snapshot") && text.contains("to the end: no connection"));
    report.streams.clear();
    assert!(render::text(&report, Style::PLAIN).starts_with("Nothing was compared\n"));
    assert!(render::html(&report).contains("Nothing was compared"));
}
