//! The pages of `docs/runbooks` have one form, and whoever is sent to one finds himself in it.
//!
//! Invariant: a page says when it is for, what to do in numbered steps, and how to know that it worked; the index names every
//! page; the page of an alert names the alert.

use super::{files, links, root};
use crate::deploy_tests::documents;

const FOLDER: &str = "docs/runbooks/";
const INDEX: &str = "docs/runbooks/README.md";

/// Name and text of each page, without the index.
fn pages() -> Vec<(String, String)> {
    let is_page = |(name, _): &(String, String)| name.starts_with(FOLDER) && name != INDEX;
    files(&["md"]).into_iter().filter(is_page).collect()
}

#[test]
fn every_page_says_when_what_and_how_to_know() {
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        let begins =
            text.starts_with("# ") && text.lines().nth(2).is_some_and(|line| line.starts_with("**When:** "));
        let steps = text.lines().any(|line| line.starts_with("1. "));
        let done = text.lines().filter(|line| line.starts_with("**It worked when:** ")).count();
        for (is, what) in [
            (begins, "its first paragraph is not `**When:** …`"),
            (steps, "it has no numbered steps"),
            (done == 1, "it has not one paragraph `**It worked when:** …`"),
        ] {
            wrong.extend((!is).then(|| format!("{name}: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_index_names_every_page() {
    let mut linked = links(&std::fs::read_to_string(root().join(INDEX)).unwrap());
    linked.retain(|link| !link.starts_with(".."));
    linked.sort();
    linked.dedup();
    let mut pages: Vec<String> =
        pages().into_iter().map(|(name, _)| name.trim_start_matches(FOLDER).to_owned()).collect();
    pages.sort();
    assert_eq!(linked, pages);
}

#[test]
fn the_page_of_an_alert_names_it() {
    let rules = documents("monitoring/rules.yaml").remove(0);
    let groups = rules["groups"].as_array().unwrap();
    let mut alerts = 0;
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let (Some(alert), Some(page)) = (rule["alert"].as_str(), rule["annotations"]["runbook"].as_str())
        else {
            continue;
        };
        let text = std::fs::read_to_string(root().join(page)).unwrap();
        let when = text.lines().skip(2).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        assert!(when.contains(&format!("`{alert}`")), "{page} does not say that it is for {alert}: {when}");
        alerts += 1;
    }
    assert!(alerts > 15, "the search itself works: {alerts}");
}
