//! The plan as Markdown: a column for each load, then what breaks first.

use std::fmt::Write as _;

use super::figures::Figures;
use super::limits::Limit;
use super::needs::Needs;

type Line = (&'static str, fn(&Needs) -> String);

const LINES: [Line; 21] = [
    ("PostgreSQL primaries", |needs| count(needs.primaries)),
    ("connector tasks, each with a slot", |needs| count(needs.tasks)),
    ("Kafka Connect, cores", |needs| cores(needs.connect_cores)),
    ("partitions of the topic", |needs| count(needs.partitions)),
    ("brokers, to take it in", |needs| count(needs.brokers)),
    ("brokers, to keep it", |needs| count(needs.brokers_by_disk)),
    ("brokers, cores for nova's reading", |needs| cores(needs.broker_cores)),
    ("nova processes", |needs| count(needs.workers)),
    ("nova, cores", |needs| cores(needs.worker_cores)),
    ("nova, memory GiB", |needs| cores(needs.worker_memory_gib)),
    ("partitions per process", |needs| count(needs.partitions_per_worker)),
    ("inserts/s, all shards of a table", |needs| count(needs.inserts_per_second)),
    ("ledger in Kafka, per second", |needs| bytes(needs.ledger_bytes_per_second)),
    ("ClickHouse shards, to take it in", |needs| count(needs.shards)),
    ("ClickHouse shards, to keep it", |needs| count(needs.shards_by_disk)),
    ("ClickHouse, cores, replicas included", |needs| cores(needs.clickhouse_cores)),
    ("share of the de-duplication window", |needs| format!("{:.2}", needs.window_share)),
    ("Kafka network, per second", |needs| bytes(needs.kafka_network_bytes_per_second)),
    ("ClickHouse network, per second", |needs| bytes(needs.clickhouse_network_bytes_per_second)),
    ("Kafka disk, all replicas", |needs| bytes(needs.kafka_disk_bytes)),
    ("ClickHouse disk, all replicas", |needs| bytes(needs.clickhouse_disk_bytes)),
];

/// Both tables.
pub(super) fn render(figures: &Figures, needs: &[Needs], limits: &[Limit]) -> String {
    let mut text = String::from("| changes/s |");
    for needs in needs {
        let _written = write!(text, " {} |", count(needs.changes_per_second));
    }
    let _written = writeln!(text, "\n| --- |{}", " ---: |".repeat(needs.len()));
    for (what, cell) in LINES {
        let cells: Vec<String> = needs.iter().map(cell).collect();
        let _written = writeln!(text, "| {what} | {} |", cells.join(" | "));
    }
    text.push_str(
        "\n| one of these | breaks at changes/s | since | what helps |\n| --- | ---: | --- | --- |\n",
    );
    for Limit { unit, changes_per_second, by, cure } in limits {
        let _written = writeln!(text, "| {unit} | {} | {by} | {cure} |", count(changes_per_second.floor()));
    }
    text.push('\n');
    for needs in needs {
        let _written = writeln!(text, "- {}", sentence(figures, needs, limits));
    }
    text
}

/// What breaks first at a load, in words.
fn sentence(figures: &Figures, needs: &Needs, limits: &[Limit]) -> String {
    let load = needs.changes_per_second;
    let too_weak = limits.iter().filter(|limit| limit.changes_per_second < load);
    let too_weak: Vec<&str> = too_weak.map(|limit| limit.unit).collect();
    let mut text = format!("{} changes/s: ", count(load));
    match too_weak.as_slice() {
        [] => text.push_str("one of everything carries it"),
        [first] => {
            let _written = write!(text, "one is not enough of: {first}");
        }
        [first, others @ ..] => {
            let _written =
                write!(text, "{first} breaks first; one is not enough of {} either", others.join(", "));
        }
    }
    for broken in needs.broken(figures) {
        let _written = write!(text, "; {broken}");
    }
    text
}

/// A whole number with a comma between thousands.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn cores(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { count(number) }
}

fn bytes(number: f64) -> String {
    let units = [(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let (size, unit) = units.into_iter().find(|(size, _)| number >= *size).unwrap_or((1.0, "B"));
    format!("{:.1} {unit}", number / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::limits::limits;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([999.0, 1_000.0, 12_345_678.0].map(count), ["999", "1,000", "12,345,678"]);
        assert_eq!([12.0, 1_500.0, 2.5e15].map(bytes), ["12.0 B", "1.5 kB", "2.5 PB"]);
    }

    #[test]
    fn the_page_shows_what_the_command_prints() {
        let figures = Figures::load(None, &[]).unwrap();
        let needs = [1e4, 1e5, 1e6, 1e7].map(|load| Needs::of(&figures, load));
        let page = include_str!("../../../docs/capacity.md");
        let (_, rest) = page.split_once("<!-- capacity -->\n").unwrap();
        let (shown, _) = rest.split_once("<!-- /capacity -->").unwrap();
        let printed = render(&figures, &needs, &limits(&figures));
        assert_eq!(shown, printed, "put what `cargo xtask capacity` prints into docs/capacity.md");
    }

    #[test]
    fn the_first_to_break_is_named_for_each_load() {
        let figures = Figures::load(None, &[]).unwrap();
        let needs = [1e3, 1e7].map(|load| Needs::of(&figures, load));
        let text = render(&figures, &needs, &limits(&figures));
        assert!(text.contains("- 1,000 changes/s: one of everything carries it\n"), "{text}");
        assert!(text.contains("- 10,000,000 changes/s: a connector task breaks first; "), "{text}");
        assert!(text.starts_with("| changes/s | 1,000 | 10,000,000 |\n| --- | ---: | ---: |\n"), "{text}");
    }
}
